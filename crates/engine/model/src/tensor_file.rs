//! Safetensors files, read tensor by tensor as f32, and written.
//!
//! The header is checked against the file's length before anything is read, and tensors are read
//! rather than mapped: a file that is cut while in use gives an error, not a fault.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo, TensorView};

use crate::{ModelError, write_atomically};

/// Longest header that is believed, in bytes; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open safetensors file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: Mutex<File>,
    data_start: u64,
    metadata: Metadata,
}

impl TensorFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let mut file = File::open(path).map_err(ModelError::io("open", path))?;
        let len = file.metadata().map_err(ModelError::io("read", path))?.len();
        let broken = |reason: String| ModelError::BrokenTensors { path: path.to_owned(), reason };
        let mut header_len = [0; 8];
        file.read_exact(&mut header_len)
            .map_err(|_| broken(format!("{len} bytes are too few for a header")))?;
        let header_len = u64::from_le_bytes(header_len);
        let data_start = header_len.saturating_add(8);
        if header_len > LONGEST_HEADER || data_start > len {
            return Err(broken(format!(
                "the header claims {header_len} bytes, the file has {len}"
            )));
        }
        let mut header = Vec::new();
        (&mut file)
            .take(header_len)
            .read_to_end(&mut header)
            .map_err(ModelError::io("read", path))?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| broken(format!("the header does not parse ({error})")))?;
        let expected = data_start.saturating_add(metadata.data_len() as u64);
        if expected != len {
            return Err(broken(format!(
                "its tensors end at byte {expected}, but the file has {len} bytes"
            )));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), data_start, metadata })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the tensors, in the order of the file.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Shape of a tensor.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// Reads a tensor of the given shape into `out`, as f32.
    ///
    /// # Errors
    /// When the tensor is missing, has another shape or a type that is not a float, or cannot be
    /// read.
    pub fn read_into(
        &self,
        name: &str,
        shape: &[usize],
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.check_shape(name, shape)?;
        let rows = shape.first().copied().unwrap_or(1);
        self.read_rows(name, 0..rows, out)
    }

    /// Refuses a tensor of another shape.
    ///
    /// # Errors
    /// When the tensor is missing or has another shape.
    pub fn check_shape(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        let info = self.info(name)?;
        if info.shape != shape {
            return Err(ModelError::WrongShape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: info.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        Ok(())
    }

    /// Reads some of a tensor's rows (its first dimension) into `out`, as f32.
    ///
    /// # Errors
    /// When the tensor is missing, has not these rows in the length of `out`, has a type that is
    /// not a float, or cannot be read.
    pub fn read_rows(
        &self,
        name: &str,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let info = self.info(name)?;
        let unsupported =
            |reason: String| ModelError::Unsupported { path: self.path.clone(), reason };
        let size = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                return Err(unsupported(format!(
                    "tensor {name} is {other:?}, only F32, F16 and BF16 are read"
                )));
            }
        };
        let count = info.shape.first().copied().unwrap_or(1);
        let width: usize = info.shape.iter().skip(1).product();
        if rows.start > rows.end || rows.end > count || rows.len() * width != out.len() {
            return Err(ModelError::WrongShape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: info.shape.clone(),
                expected: vec![rows.end, out.len() / rows.len().max(1)],
            });
        }
        let start = info.data_offsets.0 + rows.start * width * size;
        let bytes = self.bytes(start, out.len() * size)?;
        match info.dtype {
            Dtype::F32 => fill::<4>(&bytes, out, f32::from_le_bytes),
            Dtype::F16 => fill::<2>(&bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
            _ => fill::<2>(&bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
        Ok(())
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, ModelError> {
        self.metadata.info(name).ok_or_else(|| ModelError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    /// Reads a tensor of any shape as f32.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn read(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let shape = self.shape(name).unwrap_or_default().to_vec();
        let mut out = vec![0.0; shape.iter().product()];
        self.read_into(name, &shape, &mut out)?;
        Ok(out)
    }

    fn bytes(&self, start: usize, len: usize) -> Result<Vec<u8>, ModelError> {
        let mut bytes = vec![0; len];
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(ModelError::io("read", &self.path))?;
        Ok(bytes)
    }
}

fn fill<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<N>();
    for (value, chunk) in out.iter_mut().zip(chunks) {
        *value = convert(*chunk);
    }
}

/// A tensor for [`write_tensor_file`].
#[derive(Debug)]
pub struct TensorToWrite<'a> {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: &'a [f32],
}

/// Writes tensors as f32 into a safetensors file with metadata `{"format": "pt"}`, atomically.
///
/// # Errors
/// When a shape does not fit its data or the disk refuses.
pub fn write_tensor_file(path: &Path, tensors: &[TensorToWrite<'_>]) -> Result<(), ModelError> {
    let broken = |error: safetensors::SafeTensorError| ModelError::BrokenTensors {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(broken)?;
            Ok((tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, ModelError>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    write_atomically(path, &file)
}
