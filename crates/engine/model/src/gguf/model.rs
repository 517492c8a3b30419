//! A GGUF file as a source of weights under Hugging Face's names.

use std::ops::Range;
use std::path::Path;

use pelton_kernels::blocks::BlockFormat;

use super::{GgufFile, GgufKind, names};
use crate::{DecoderConfig, Layout, ModelError, WeightSource};

/// An open GGUF file with the model that it describes.
#[derive(Debug)]
pub struct GgufModel {
    file: GgufFile,
    config: DecoderConfig,
    architecture: String,
}

impl GgufModel {
    /// Opens a file; the weights stay on disk.
    ///
    /// # Errors
    /// When the file is damaged, lacks a tensor, or describes a model that is not computed.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = GgufFile::open(path)?;
        let config = file.config()?;
        let architecture = file.architecture()?.to_owned();
        for (name, span) in Layout::new(&config)?.tensors() {
            let tensor = ggml_name(&name).and_then(|name| file.tensor(&name));
            let tensor = tensor.ok_or_else(|| ModelError::MissingTensor {
                path: path.to_owned(),
                name: ggml_name(&name).unwrap_or(name.clone()),
            })?;
            if tensor.rows() != Some(span.rows) || tensor.cols() != span.cols {
                return Err(ModelError::WrongShape {
                    path: path.to_owned(),
                    name: tensor.name.clone(),
                    found: tensor.shape.clone(),
                    expected: vec![span.rows, span.cols],
                });
            }
        }
        Ok(Self { file, config, architecture })
    }

    /// The file, with its metadata.
    #[must_use]
    pub fn file(&self) -> &GgufFile {
        &self.file
    }

    /// Reads rows with `read` and brings them into Hugging Face's order; `width` is a row's length.
    fn rows<T: Copy>(
        &self,
        name: &str,
        rows: Range<usize>,
        out: &mut [T],
        read: impl Fn(&str, Range<usize>) -> Result<Vec<T>, ModelError>,
    ) -> Result<(), ModelError> {
        let missing = || ModelError::MissingTensor {
            path: self.file.path().to_owned(),
            name: name.to_owned(),
        };
        let theirs = ggml_name(name).ok_or_else(missing)?;
        let tensor = self.file.tensor(&theirs).ok_or_else(missing)?;
        let wrong = || ModelError::WrongShape {
            path: self.file.path().to_owned(),
            name: theirs.clone(),
            found: tensor.shape.clone(),
            expected: vec![rows.end, out.len() / rows.len().max(1)],
        };
        let head = self.config.head_size();
        if !names::is_permuted(&self.architecture, name) {
            let found = read(&theirs, rows.clone())?;
            if found.len() != out.len() {
                return Err(wrong());
            }
            out.copy_from_slice(&found);
            return Ok(());
        }
        if tensor.shape.len() == 1 {
            // A bias: its elements are in the order of the rows.
            let found = read(&theirs, 0..1)?;
            if found.len() != out.len() || !found.len().is_multiple_of(head) {
                return Err(wrong());
            }
            for (row, out) in out.iter_mut().enumerate() {
                *out = found[names::permuted(row, head)];
            }
            return Ok(());
        }
        let first = rows.start / head * head;
        let found = read(&theirs, first..rows.end.next_multiple_of(head))?;
        let width = out.len() / rows.len().max(1);
        if width * (rows.end.next_multiple_of(head) - first) != found.len() {
            return Err(wrong());
        }
        for (row, out) in rows.zip(out.chunks_exact_mut(width.max(1))) {
            out.copy_from_slice(&found[(names::permuted(row, head) - first) * width..][..width]);
        }
        Ok(())
    }
}

impl WeightSource for GgufModel {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn block_format(&self, name: &str) -> Option<BlockFormat> {
        match self.file.tensor(&ggml_name(name)?)?.kind {
            GgufKind::Blocks(format) => Some(format),
            _ => None,
        }
    }

    fn read_rows(&self, name: &str, rows: Range<usize>, out: &mut [f32]) -> Result<(), ModelError> {
        self.rows(name, rows, out, |name, rows| self.file.read_floats(name, rows))
    }

    fn read_blocks(
        &self,
        name: &str,
        rows: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), ModelError> {
        self.rows(name, rows, out, |name, rows| self.file.read_bytes(name, rows))
    }
}

fn ggml_name(name: &str) -> Option<String> {
    names::of_hugging_face(name)
}
