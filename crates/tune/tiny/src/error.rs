//! What can go wrong while the tiny model is made or measured.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TinyError {
    /// The tokenizer library refused a file or a text.
    #[error("tokenizer: {0}")]
    Tokenizer(tokenizers::Error),
    /// A file could not be read or written.
    #[error("cannot read or write a file of the model: {0}")]
    Io(#[from] std::io::Error),
    /// A file that must be JSON is not.
    #[error("a file of the model is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The model's configuration or files.
    #[error(transparent)]
    Model(#[from] pelton_model::ModelError),
    /// The training run.
    #[error(transparent)]
    Train(#[from] pelton_trainer::TrainError),
    /// The caller stopped the run.
    #[error("stopped; the same command goes on from the checkpoint in {}", .0.display())]
    Interrupted(std::path::PathBuf),
    /// A phase of the recipe has had its cycles and its mechanism has not formed.
    #[error(
        "after {cycles} cycles of the phase {phase} {share:.2} of held-out answers are right, not {asked:.2}; \
         what builds on it would fail: try another seed"
    )]
    NotMastered {
        /// The phase's name.
        phase: &'static str,
        /// Cycles that it had.
        cycles: u64,
        /// Share of answers that are right.
        share: f64,
        /// Share that the recipe asks for.
        asked: f64,
    },
    /// There is nothing to export.
    #[error("{} holds no checkpoint of a run", .0.display())]
    NoCheckpoint(std::path::PathBuf),
}

impl From<tokenizers::Error> for TinyError {
    fn from(error: tokenizers::Error) -> Self {
        Self::Tokenizer(error)
    }
}
