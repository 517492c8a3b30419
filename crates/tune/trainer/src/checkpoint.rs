//! A run's whole state on disk, so that a killed run goes on as if nothing had happened.
//!
//! Tensors go into a file named after the step; then `checkpoint.json`, which names it, is replaced
//! in one rename. A kill between the two leaves the older checkpoint whole.

use std::path::{Path, PathBuf};

use pelton_model::{
    BaseModel, ModelError, TensorFile, TensorToWrite, write_atomically, write_tensor_file,
};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::batches::Position;
use crate::optimize::Moments;
use crate::report::CurvePoint;

/// Everything that changes during a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunState {
    pub position: Position,
    pub seconds: f64,
    pub weights: Vec<f32>,
    pub moments: Moments,
    pub initial_val_loss: Option<f64>,
    pub best: Option<Best>,
    /// Validations since the best one.
    pub without_improvement: u32,
    pub curve: Vec<CurvePoint>,
}

/// The weights with the lowest validation loss.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    pub loss: f64,
    pub step: u64,
    pub weights: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    /// Of the settings, the data and the first weights.
    fingerprint: String,
    tensors: String,
    step: u64,
    tokens: u64,
    next_index: u64,
    seconds: f64,
    /// Bits, because decimal digits might not come back the same.
    initial_val_loss: Option<u64>,
    best_loss: Option<u64>,
    best_step: u64,
    without_improvement: u32,
    curve: Vec<CurvePoint>,
}

const HEADER: &str = "checkpoint.json";

pub(crate) fn save(folder: &Path, fingerprint: &str, state: &RunState) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Io {
        action: "create",
        path: folder.to_owned(),
        source,
    })?;
    let tensors = format!("checkpoint-{}.safetensors", state.position.step);
    let named = [
        ("weights", Some(&state.weights)),
        ("mean", Some(&state.moments.mean)),
        ("square", Some(&state.moments.square)),
        ("best", state.best.as_ref().map(|best| &best.weights)),
    ];
    let to_write: Vec<_> = named
        .into_iter()
        .filter_map(|(name, data)| {
            data.map(|data| TensorToWrite { name: name.into(), shape: vec![data.len()], data })
        })
        .collect();
    write_tensor_file(&folder.join(&tensors), &to_write)?;
    let header = Header {
        fingerprint: fingerprint.to_owned(),
        tensors: tensors.clone(),
        step: state.position.step,
        tokens: state.position.tokens,
        next_index: state.position.next_index,
        seconds: state.seconds,
        initial_val_loss: state.initial_val_loss.map(f64::to_bits),
        best_loss: state.best.as_ref().map(|best| best.loss.to_bits()),
        best_step: state.best.as_ref().map_or(0, |best| best.step),
        without_improvement: state.without_improvement,
        curve: state.curve.clone(),
    };
    let path = folder.join(HEADER);
    let json = serde_json::to_vec(&header)
        .map_err(|source| ModelError::Json { path: path.clone(), source })?;
    write_atomically(&path, &json)?;
    remove_older(folder, &tensors);
    Ok(())
}

/// Older tensor files only cost space, so that a failure here is none.
fn remove_older(folder: &Path, newest: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("checkpoint-") && name != newest {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The state in a folder, if there is one.
pub(crate) fn load(folder: &Path, fingerprint: &str) -> Result<Option<RunState>, TrainError> {
    let Some((path, header)) = read_header(folder)? else { return Ok(None) };
    if header.fingerprint != fingerprint {
        return Err(TrainError::OtherRun { path });
    }
    let file = TensorFile::open(&folder.join(&header.tensors))?;
    let best = match header.best_loss {
        Some(bits) => Some(Best {
            loss: f64::from_bits(bits),
            step: header.best_step,
            weights: file.read("best")?,
        }),
        None => None,
    };
    Ok(Some(RunState {
        position: Position {
            step: header.step,
            tokens: header.tokens,
            next_index: header.next_index,
        },
        seconds: header.seconds,
        weights: file.read("weights")?,
        moments: Moments { mean: file.read("mean")?, square: file.read("square")? },
        initial_val_loss: header.initial_val_loss.map(f64::from_bits),
        best,
        without_improvement: header.without_improvement,
        curve: header.curve,
    }))
}

fn read_header(folder: &Path) -> Result<Option<(PathBuf, Header)>, TrainError> {
    let path = folder.join(HEADER);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Io { action: "read", path, source }.into()),
    };
    match serde_json::from_slice(&text) {
        Ok(header) => Ok(Some((path, header))),
        Err(error) => Err(TrainError::BrokenCheckpoint { path, reason: error.to_string() }),
    }
}

/// The model as the last checkpoint of a full training run has it, whoever runs it; nothing when
/// there is no checkpoint yet. `model` gives the configuration.
///
/// # Errors
/// When the checkpoint is broken or is of a model of another size.
pub fn model_at_checkpoint(
    model: &BaseModel,
    folder: &Path,
) -> Result<Option<(u64, BaseModel)>, TrainError> {
    let Some((_, header)) = read_header(folder)? else { return Ok(None) };
    let weights = TensorFile::open(&folder.join(&header.tensors))?.read("weights")?;
    Ok(Some((header.tokens, BaseModel::new(model.config().clone(), weights)?)))
}
