//! What can go wrong with a model that reads, and with what it is to read.

use std::path::PathBuf;

use pelton_kernels::decode::PackError;
use pelton_model::ModelError;
use pelton_scheduler::SchedulerError;
use pelton_tokens::TokensError;

/// Errors of loading such a model and of running it.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// A file of the model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its tokenizer cannot be used, or a text cannot be encoded.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Its weights cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The decoder that it is built on cannot be used.
    #[error(transparent)]
    Decoder(#[from] SchedulerError),
    /// The model has something that is not computed.
    #[error("{} is not supported: {reason}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What, and what would be.
        reason: String,
    },
    /// A sequence has no tokens.
    #[error("the input has no tokens; send some text")]
    Empty,
    /// A sequence is longer than the model reads.
    #[error(
        "the input has {found} tokens, but this model reads at most {most}; shorten it, or set \
         truncate_prompt_tokens to -1 to have it cut"
    )]
    TooLong {
        /// Its tokens.
        found: usize,
        /// Tokens that are read.
        most: usize,
    },
    /// A token is not in the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocab_size} tokens")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Ids are below this.
        vocab_size: usize,
    },
}
