//! What can go wrong with a model folder, and what its owner can do about it.

use std::path::PathBuf;

use thiserror::Error;

/// An error about a model or adapter folder.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A JSON file does not parse.
    #[error("{} is not valid: {source}; copy it again from where the model came from", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where in it.
        source: serde_json::Error,
    },
    /// A safetensors or GGUF file is damaged.
    #[error("{} is damaged: {reason}; copy or download it again", path.display())]
    BrokenTensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that the configuration asks for is in no file.
    #[error("{} has no tensor {name}; the files and config.json belong to different models", path.display())]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{}: tensor {name} has shape {found:?}, expected {expected:?}; the files and the configuration belong to different models", path.display())]
    WrongShape {
        /// The file or folder.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// The model or adapter uses something that is not supported.
    #[error("{} is not supported: {reason}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What is not supported, and what would be.
        reason: String,
    },
    /// A file that would be written is there already.
    #[error("{} exists; remove it or name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Numbers that cannot describe a model.
    #[error("invalid model configuration: {0}")]
    InvalidConfig(String),
}

impl ModelError {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
