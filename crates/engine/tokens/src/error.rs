//! What can go wrong between text and tokens, split by who can repair it.

use std::path::PathBuf;

/// Errors of loading a tokenizer or a chat template, and of using them.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A file of the model folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the model folder is there but is not what its name says.
    #[error("{path} is not usable: {detail}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder carries no chat template, so that messages cannot be rendered.
    #[error("the model has no chat template; add `chat_template` to tokenizer_config.json")]
    NoChatTemplate,
    /// The template refused these messages, or ran for too long.
    #[error("the chat template refused the messages: {detail}")]
    TemplateRefused {
        /// The template's own message, or the engine's.
        detail: String,
    },
    /// The text cannot be encoded.
    #[error("the text cannot be encoded: {detail}")]
    Encode {
        /// The tokenizer's message.
        detail: String,
    },
}
