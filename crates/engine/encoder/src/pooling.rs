//! How the hidden states of a text become one vector, as sentence-transformers' `modules.json` says.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::EncoderError;
use crate::config::read_json;

/// Which hidden states make the vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// That of the first token.
    First,
    /// Their mean.
    Mean,
    /// The largest of each element.
    Max,
    /// That of the last token.
    Last,
}

/// What is done behind the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pipeline {
    pub(crate) pooling: Pooling,
    /// Whether vectors are scaled to length one.
    pub(crate) normalizes: bool,
    /// Longest sequence that sentence-transformers reads, in tokens.
    pub(crate) max_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

impl Pipeline {
    /// Whether the folder is a model of sentence-transformers.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join("modules.json").exists()
    }

    /// Reads `modules.json` and what it names; a folder without one has the mean, as
    /// sentence-transformers makes of it.
    pub(crate) fn load(folder: &Path) -> Result<Self, EncoderError> {
        let path = folder.join("modules.json");
        let mut pipeline = Self { pooling: Pooling::Mean, normalizes: false, max_tokens: None };
        if !path.exists() {
            return Ok(pipeline);
        }
        let modules: Vec<Module> = read_json(&path)?;
        let unsupported = |reason: String| EncoderError::Unsupported { path: path.clone(), reason };
        for (at, module) in modules.iter().enumerate() {
            match (at, module.kind.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") if module.path.is_empty() => {}
                (0, "Transformer") => {
                    return Err(unsupported(format!(
                        "its model lies in {:?}; it must be in the folder itself",
                        module.path
                    )));
                }
                (1, "Pooling") => {
                    let path = below(folder, &module.path).map_err(unsupported)?;
                    pipeline.pooling = Pooling::load(&path.join("config.json"))?;
                }
                (2, "Normalize") => pipeline.normalizes = true,
                (_, kind) => {
                    return Err(unsupported(format!(
                        "module {at} is {kind:?}; a Transformer, a Pooling and a Normalize are \
                         computed, in this order"
                    )));
                }
            }
        }
        let path = folder.join("sentence_bert_config.json");
        if path.exists() {
            pipeline.max_tokens = read_json::<SentenceConfig>(&path)?.max_seq_length;
        }
        Ok(pipeline)
    }
}

/// A folder below another one, wherever the name comes from.
fn below(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let mut parts = Path::new(name).components();
    if parts.all(|part| matches!(part, Component::Normal(_))) {
        Ok(folder.join(name))
    } else {
        Err(format!("{name:?} is not a folder inside the model's"))
    }
}

impl Pooling {
    fn load(path: &Path) -> Result<Self, EncoderError> {
        let config: Map<String, Value> = read_json(path)?;
        let flags = [
            ("pooling_mode_cls_token", "cls"),
            ("pooling_mode_mean_tokens", "mean"),
            ("pooling_mode_max_tokens", "max"),
            ("pooling_mode_lasttoken", "lasttoken"),
            ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
            ("pooling_mode_weightedmean_tokens", "weightedmean"),
        ];
        let mut modes: Vec<String> = flags
            .into_iter()
            .filter(|(flag, _)| config.get(*flag) == Some(&Value::Bool(true)))
            .map(|(_, mode)| mode.to_owned())
            .collect();
        if let Some(mode) = config.get("pooling_mode").and_then(Value::as_str) {
            modes = vec![mode.to_owned()];
        }
        match modes.join("+").as_str() {
            "cls" => Ok(Self::First),
            "mean" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            "lasttoken" => Ok(Self::Last),
            other => Err(EncoderError::Unsupported {
                path: path.to_owned(),
                reason: format!(
                    "its pooling is {other:?}; cls, mean, max and lasttoken are computed"
                ),
            }),
        }
    }

    /// One vector of `width` floats from the hidden states of a sequence, which has at least one.
    pub(crate) fn pool(self, states: &[f32], width: usize) -> Vec<f32> {
        let rows = states.len() / width;
        match self {
            Self::First => states[..width].to_vec(),
            Self::Last => states[(rows - 1) * width..].to_vec(),
            Self::Mean => {
                let sums = (0..width).map(|at| {
                    states.iter().skip(at).step_by(width).map(|&x| f64::from(x)).sum::<f64>()
                });
                sums.map(|sum| (sum / rows as f64) as f32).collect()
            }
            Self::Max => (0..width)
                .map(|at| {
                    states.iter().skip(at).step_by(width).copied().fold(f32::NEG_INFINITY, f32::max)
                })
                .collect(),
        }
    }
}

/// Scales a vector to length one, as `torch.nn.functional.normalize` does.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let scale = 1.0 / length.max(1e-12);
    for x in vector {
        *x = (f64::from(*x) * scale) as f32;
    }
}
