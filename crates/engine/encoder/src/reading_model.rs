//! Which kind of model a folder holds.

use std::path::Path;

use pelton_model::{Precision, gguf_file};
use serde::Deserialize;

use crate::config::{EncoderConfig, FAMILIES, read_json};
use crate::pooling::Pipeline;
use crate::{Embedder, EncoderError, Reranker};

/// A model that reads and does not write.
#[derive(Debug)]
pub enum ReadingModel {
    /// Makes vectors of texts.
    Embedder(Box<Embedder>),
    /// Scores documents for a query.
    Reranker(Box<Reranker>),
}

#[derive(Deserialize)]
struct Family {
    #[serde(default)]
    model_type: String,
}

impl ReadingModel {
    /// Whether the folder's model reads only: it is of an encoder's family, or has the `modules.json`
    /// of sentence-transformers.
    ///
    /// # Errors
    /// [`EncoderError::Model`] when `config.json` cannot be read.
    pub fn is_in(folder: &Path) -> Result<bool, EncoderError> {
        // GGUF files are read for decoders that write.
        if gguf_file(folder)?.is_some() {
            return Ok(false);
        }
        let Family { model_type } = read_json(&folder.join("config.json"))?;
        Ok(FAMILIES.contains(&model_type.as_str()) || Pipeline::is_in(folder))
    }

    /// Loads the model of a folder. Linear layers are kept in `precision` where their width allows.
    ///
    /// # Errors
    /// [`EncoderError`], with the file at fault.
    pub fn load(folder: &Path, precision: Precision) -> Result<Self, EncoderError> {
        let Family { model_type } = read_json(&folder.join("config.json"))?;
        if !FAMILIES.contains(&model_type.as_str()) {
            return Ok(Self::Embedder(Box::new(Embedder::of_decoder(folder, precision)?)));
        }
        let config = EncoderConfig::load(folder)?;
        if config.classifies() {
            return Ok(Self::Reranker(Box::new(Reranker::load(config, folder, precision)?)));
        }
        Ok(Self::Embedder(Box::new(Embedder::of_encoder(config, folder, precision)?)))
    }
}
