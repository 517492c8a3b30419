//! Writing: the header first, then tensor by tensor, into a file that gets its name when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{DEFAULT_ALIGNMENT, GgufTensor, GgufValue, MAGIC};
use crate::ModelError;

const VERSION: u32 = 3;

/// A GGUF file that is being written.
#[derive(Debug)]
pub struct GgufWriter {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    /// Bytes of each tensor that is not begun yet, last first.
    waiting: Vec<u64>,
    /// Bytes that the begun tensor still needs, and what it needs in all.
    missing: u64,
    whole: u64,
    finished: bool,
}

impl GgufWriter {
    /// Begins a file with its metadata and what tensors will follow.
    ///
    /// # Errors
    /// When the file exists, a tensor's rows are no whole blocks, or the disk refuses.
    pub fn create(
        path: &Path,
        metadata: &[(String, GgufValue)],
        tensors: &[GgufTensor],
    ) -> Result<Self, ModelError> {
        if path.exists() {
            return Err(ModelError::Exists { path: path.to_owned() });
        }
        let header = header(metadata, tensors)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let file = File::create(&partial).map_err(ModelError::io("create", &partial))?;
        let mut waiting: Vec<u64> =
            tensors.iter().map(|tensor| tensor.bytes().unwrap_or(0) as u64).collect();
        waiting.reverse();
        let whole = header.len() as u64;
        let mut writer = Self {
            path: path.to_owned(),
            partial,
            file: BufWriter::new(file),
            waiting,
            missing: whole,
            whole,
            finished: false,
        };
        writer.write(&header)?;
        Ok(writer)
    }

    /// Appends bytes of the tensors, in their order.
    ///
    /// # Errors
    /// When a piece reaches beyond its tensor, or the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        let length = bytes.len() as u64;
        if length > self.missing {
            return Err(ModelError::InvalidConfig("more bytes than the tensor has".into()));
        }
        self.put(bytes)?;
        self.missing -= length;
        while self.missing == 0 {
            let padding = self.whole.next_multiple_of(DEFAULT_ALIGNMENT) - self.whole;
            self.put(&[0; DEFAULT_ALIGNMENT as usize][..padding as usize])?;
            let Some(next) = self.waiting.pop() else {
                (self.whole, self.missing) = (0, u64::MAX);
                break;
            };
            (self.whole, self.missing) = (next, next);
        }
        Ok(())
    }

    /// Flushes the file to disk and gives it its name.
    ///
    /// # Errors
    /// When tensors are missing, or the disk refuses.
    pub fn finish(mut self) -> Result<(), ModelError> {
        if self.missing != u64::MAX {
            return Err(ModelError::InvalidConfig("tensors are missing".into()));
        }
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(ModelError::io("write", &self.partial))?;
        // A link, unlike a renaming, never replaces a file that has come meanwhile.
        std::fs::hard_link(&self.partial, &self.path)
            .or_else(|_| {
                if self.path.exists() {
                    return Err(std::io::ErrorKind::AlreadyExists.into());
                }
                std::fs::rename(&self.partial, &self.path)
            })
            .map_err(ModelError::io("write", &self.path))?;
        let _ = std::fs::remove_file(&self.partial);
        self.finished = true;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        self.file.write_all(bytes).map_err(ModelError::io("write", &self.partial))
    }
}

impl Drop for GgufWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

fn header(metadata: &[(String, GgufValue)], tensors: &[GgufTensor]) -> Result<Vec<u8>, ModelError> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut out, key);
        put_value(&mut out, key, value)?;
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        put_text(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        for dimension in tensor.shape.iter().rev() {
            out.extend((*dimension as u64).to_le_bytes());
        }
        out.extend(tensor.kind.code().to_le_bytes());
        out.extend(offset.to_le_bytes());
        let bytes = tensor.bytes().ok_or_else(|| {
            ModelError::InvalidConfig(format!("{} has no whole blocks", tensor.name))
        })?;
        offset += (bytes as u64).next_multiple_of(DEFAULT_ALIGNMENT);
    }
    Ok(out)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, key: &str, value: &GgufValue) -> Result<(), ModelError> {
    let too_large = |_| ModelError::InvalidConfig(format!("{key} does not fit 32 bits"));
    let kind = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_le_bytes());
    let array = |out: &mut Vec<u8>, kind: u32, count: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    match value {
        GgufValue::Integer(value) => {
            kind(out, 4);
            out.extend(u32::try_from(*value).map_err(too_large)?.to_le_bytes());
        }
        GgufValue::Float(value) => {
            kind(out, 6);
            out.extend((*value as f32).to_le_bytes());
        }
        GgufValue::Bool(value) => {
            kind(out, 7);
            out.push(u8::from(*value));
        }
        GgufValue::Text(text) => {
            kind(out, 8);
            put_text(out, text);
        }
        GgufValue::Integers(values) => {
            array(out, 5, values.len());
            for value in values {
                out.extend(i32::try_from(*value).map_err(too_large)?.to_le_bytes());
            }
        }
        GgufValue::Floats(values) => {
            array(out, 6, values.len());
            values.iter().for_each(|value| out.extend((*value as f32).to_le_bytes()));
        }
        GgufValue::Texts(texts) => {
            array(out, 8, texts.len());
            texts.iter().for_each(|text| put_text(out, text));
        }
    }
    Ok(())
}
