//! Reading: the header is checked against the file's length before anything is believed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use half::{bf16, f16};

use super::{DEFAULT_ALIGNMENT, GgufKind, GgufTensor, GgufValue, MAGIC};
use crate::ModelError;

/// Most entries of the metadata, and most tensors.
const MOST_ENTRIES: u64 = 65_536;
/// Longest key or tensor name, in bytes.
const LONGEST_NAME: u64 = 65_535;
/// Longest header, in bytes: vocabularies with their merges take some ten million.
const LONGEST_HEADER: u64 = 512 << 20;
/// Most dimensions of a tensor.
const MOST_DIMENSIONS: u32 = 4;

/// An open GGUF file.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    file: Mutex<File>,
    metadata: HashMap<String, GgufValue>,
    tensors: HashMap<String, (GgufTensor, u64)>,
}

impl GgufFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is of another version.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io("open", path))?;
        let len = file.metadata().map_err(ModelError::io("read", path))?.len();
        let mut header = Header { reader: BufReader::new(file), at: 0, len, path };
        let (metadata, infos) = header.parse()?;
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(GgufValue::Integer(bytes @ 1..=65_536)) if (*bytes as u64).is_power_of_two() => {
                *bytes as u64
            }
            Some(_) => return Err(header.broken("general.alignment is no power of two")),
        };
        let start = header.at.next_multiple_of(alignment);
        let mut tensors = HashMap::new();
        for (tensor, offset) in infos {
            let name = tensor.name.clone();
            let bytes = tensor.bytes().ok_or_else(|| {
                header.broken(format!("tensor {name} has no whole rows of its type"))
            })?;
            let from = start.checked_add(offset);
            let end = from.and_then(|from| from.checked_add(bytes as u64));
            let (Some(from), Some(end)) = (from, end) else {
                return Err(header.broken(format!("tensor {name} overflows")));
            };
            if end > len {
                return Err(header.broken(format!(
                    "tensor {name} ends at byte {end}, but the file has {len} bytes"
                )));
            }
            if tensors.insert(name.clone(), (tensor, from)).is_some() {
                return Err(header.broken(format!("tensor {name} is there twice")));
            }
        }
        let file = Mutex::new(header.reader.into_inner());
        Ok(Self { path: path.to_owned(), file, metadata, tensors })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A value of the metadata.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&GgufValue> {
        self.metadata.get(key)
    }

    /// How many tensors there are.
    #[must_use]
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// A tensor's description.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&GgufTensor> {
        self.tensors.get(name).map(|(tensor, _)| tensor)
    }

    /// Reads rows of a tensor as they are kept.
    ///
    /// # Errors
    /// When the tensor or its rows are missing, or the disk refuses.
    pub fn read_bytes(&self, name: &str, rows: Range<usize>) -> Result<Vec<u8>, ModelError> {
        let (tensor, start) = self.tensors.get(name).ok_or_else(|| ModelError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })?;
        let row = tensor.kind.row_bytes(tensor.cols()).unwrap_or(0);
        if rows.start > rows.end || Some(rows.end) > tensor.rows() {
            return Err(ModelError::WrongShape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: tensor.shape.clone(),
                expected: vec![rows.end, tensor.cols()],
            });
        }
        let mut bytes = vec![0; rows.len() * row];
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(start + (rows.start * row) as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(ModelError::io("read", &self.path))?;
        Ok(bytes)
    }

    /// Reads rows of a tensor as f32.
    ///
    /// # Errors
    /// As [`Self::read_bytes`].
    pub fn read_floats(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>, ModelError> {
        let bytes = self.read_bytes(name, rows.clone())?;
        let Some(tensor) = self.tensor(name) else { return Ok(Vec::new()) };
        Ok(match tensor.kind {
            GgufKind::F32 => bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect(),
            GgufKind::F16 => {
                bytes.as_chunks().0.iter().map(|&two| f16::from_le_bytes(two).to_f32()).collect()
            }
            GgufKind::Bf16 => {
                bytes.as_chunks().0.iter().map(|&two| bf16::from_le_bytes(two).to_f32()).collect()
            }
            GgufKind::Blocks(format) => {
                let mut weights = vec![0.0; rows.len() * tensor.cols()];
                format.dequantize(&bytes, &mut weights);
                weights
            }
        })
    }
}

/// What the header says: metadata, and tensors with their offsets.
type Parsed = (HashMap<String, GgufValue>, Vec<(GgufTensor, u64)>);

struct Header<'a> {
    reader: BufReader<File>,
    at: u64,
    len: u64,
    path: &'a Path,
}

impl Header<'_> {
    fn parse(&mut self) -> Result<Parsed, ModelError> {
        if &self.bytes::<4>()? != MAGIC {
            return Err(self.broken("it does not begin with GGUF"));
        }
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            let reason = if version.swap_bytes() <= 3 {
                "it is for big-endian machines".to_owned()
            } else {
                format!("it is GGUF version {version}; versions 2 and 3 are read")
            };
            return Err(ModelError::Unsupported { path: self.path.to_owned(), reason });
        }
        let (tensors, entries) = (self.u64()?, self.u64()?);
        if tensors > MOST_ENTRIES || entries > MOST_ENTRIES {
            return Err(self.broken(format!("it claims {tensors} tensors and {entries} entries")));
        }
        let mut metadata = HashMap::new();
        for _ in 0..entries {
            let key = self.text(LONGEST_NAME)?;
            let kind = self.u32()?;
            let value = self.value(kind)?;
            metadata.insert(key, value);
        }
        let mut infos = Vec::new();
        for _ in 0..tensors {
            infos.push(self.tensor()?);
        }
        Ok((metadata, infos))
    }

    fn tensor(&mut self) -> Result<(GgufTensor, u64), ModelError> {
        let name = self.text(LONGEST_NAME)?;
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            return Err(self.broken(format!("tensor {name} has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        let code = self.u32()?;
        let kind = GgufKind::of_code(code).ok_or_else(|| ModelError::Unsupported {
            path: self.path.to_owned(),
            reason: format!(
                "tensor {name} has type {code}; F32, F16, BF16, Q4_0, Q5_0, Q8_0, Q4_K, Q5_K and Q6_K are read"
            ),
        })?;
        Ok((GgufTensor { name, shape, kind }, self.u64()?))
    }

    fn value(&mut self, kind: u32) -> Result<GgufValue, ModelError> {
        Ok(match kind {
            6 => GgufValue::Float(f64::from(f32::from_le_bytes(self.bytes()?))),
            12 => GgufValue::Float(f64::from_le_bytes(self.bytes()?)),
            7 => GgufValue::Bool(self.bytes::<1>()? != [0]),
            8 => GgufValue::Text(self.text(LONGEST_HEADER)?),
            9 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                self.array(kind, count)?
            }
            _ => GgufValue::Integer(self.integer(kind)?),
        })
    }

    /// Arrays grow as they are read, so that a count alone takes no memory.
    fn array(&mut self, kind: u32, count: u64) -> Result<GgufValue, ModelError> {
        if count > self.len - self.at {
            return Err(self.broken(format!("an array claims {count} elements")));
        }
        let collect =
            |header: &mut Self, read: &mut dyn FnMut(&mut Self) -> Result<(), ModelError>| {
                (0..count).try_for_each(|_| read(header))
            };
        match kind {
            8 => {
                let mut texts = Vec::new();
                collect(self, &mut |header| {
                    texts.push(header.text(LONGEST_NAME)?);
                    Ok(())
                })?;
                Ok(GgufValue::Texts(texts))
            }
            6 | 12 => {
                let mut floats = Vec::new();
                collect(self, &mut |header| {
                    let GgufValue::Float(float) = header.value(kind)? else { return Ok(()) };
                    floats.push(float);
                    Ok(())
                })?;
                Ok(GgufValue::Floats(floats))
            }
            9 => Err(self.broken("it has arrays of arrays")),
            _ => {
                let mut integers = Vec::new();
                collect(self, &mut |header| {
                    integers.push(match kind {
                        7 => i64::from(header.bytes::<1>()? != [0]),
                        kind => header.integer(kind)?,
                    });
                    Ok(())
                })?;
                Ok(GgufValue::Integers(integers))
            }
        }
    }

    fn integer(&mut self, kind: u32) -> Result<i64, ModelError> {
        Ok(match kind {
            0 => u8::from_le_bytes(self.bytes()?).into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            10 => i64::try_from(self.u64()?).map_err(|_| self.broken("a number is too large"))?,
            11 => i64::from_le_bytes(self.bytes()?),
            _ => return Err(self.broken(format!("a value has the unknown type {kind}"))),
        })
    }

    fn text(&mut self, longest: u64) -> Result<String, ModelError> {
        let length = self.u64()?;
        if length > longest || length > self.len - self.at {
            return Err(self.broken(format!("a text claims {length} bytes")));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes);
        if read.map_err(ModelError::io("read", self.path))? as u64 != length {
            return Err(self.broken("it ends within its header"));
        }
        self.advance(length)?;
        String::from_utf8(bytes).map_err(|_| self.broken("a text is not UTF-8"))
    }

    fn u32(&mut self) -> Result<u32, ModelError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ModelError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|_| self.broken("it ends within its header"))?;
        self.advance(N as u64)?;
        Ok(bytes)
    }

    fn advance(&mut self, bytes: u64) -> Result<(), ModelError> {
        self.at += bytes;
        if self.at > LONGEST_HEADER || self.at > self.len {
            return Err(self.broken(format!("its header is longer than {LONGEST_HEADER} bytes")));
        }
        Ok(())
    }

    fn broken(&self, reason: impl Into<String>) -> ModelError {
        ModelError::BrokenTensors { path: self.path.to_owned(), reason: reason.into() }
    }
}
