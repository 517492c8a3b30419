//! Sampling defaults of a model: what `generation_config.json` says, else OpenAI's.

use std::path::Path;

use pelton_scheduler::Sampling;
use serde::Deserialize;

use crate::ServeError;

#[derive(Debug, Default, Deserialize)]
struct GenerationConfig {
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

/// Reads the defaults of a model folder. A model that says `"do_sample": false` answers with its most
/// likely tokens unless a request sets a temperature.
pub(crate) fn generation_defaults(folder: &Path) -> Result<Sampling, ServeError> {
    let path = folder.join("generation_config.json");
    let config: GenerationConfig = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| ServeError::Json { path, detail: error.to_string() })?,
        Err(_) => GenerationConfig::default(),
    };
    let plain = Sampling::default();
    Ok(Sampling {
        temperature: match config.do_sample {
            Some(false) => 0.0,
            _ => config.temperature.unwrap_or(plain.temperature),
        },
        top_p: config.top_p.unwrap_or(plain.top_p),
        top_k: config.top_k.unwrap_or(plain.top_k),
        min_p: config.min_p.unwrap_or(plain.min_p),
        repetition_penalty: config.repetition_penalty.unwrap_or(plain.repetition_penalty),
        ..plain
    })
}
