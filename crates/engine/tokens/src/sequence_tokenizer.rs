//! Texts and pairs of texts for models that read and do not write: with the tokenizer's special
//! tokens, segment ids, and truncation.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tokenizers::tokenizer::PostProcessor as _;
use tokenizers::{Encoding, Tokenizer, TruncationParams, TruncationStrategy, truncate_encodings};

use crate::TokensError;

/// The tokenizer of an encoder; its decoder does not matter.
#[derive(Debug)]
pub struct SequenceTokenizer {
    tokenizer: Tokenizer,
    model_max_length: Option<usize>,
}

/// A text or a pair as an encoder reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSequence {
    /// Token ids, special ones included.
    pub tokens: Vec<u32>,
    /// Per token, the segment: 1 for the second text of a pair, where the family tells them apart.
    pub segments: Vec<u32>,
}

impl SequenceTokenizer {
    /// Loads `tokenizer.json`, and `model_max_length` of `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`TokensError::Unreadable`] or [`TokensError::Malformed`], both with the path.
    pub fn load(folder: &Path) -> Result<Self, TokensError> {
        let path = folder.join("tokenizer.json");
        let bytes = fs::read(&path)
            .map_err(|source| TokensError::Unreadable { path: path.clone(), source })?;
        let malformed = |detail: String| TokensError::Malformed { path: path.clone(), detail };
        let mut tokenizer =
            Tokenizer::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))?;
        // Lengths are the caller's business, and rows of a batch are not padded.
        tokenizer.with_truncation(None).map_err(|error| malformed(error.to_string()))?;
        tokenizer.with_padding(None);
        let config = crate::text_codec::optional_json(&folder.join("tokenizer_config.json"))?;
        // Where there is no limit, Hugging Face writes 1e30.
        let longest = config.get("model_max_length").and_then(Value::as_u64);
        Ok(Self { tokenizer, model_max_length: longest.and_then(|most| most.try_into().ok()) })
    }

    /// The longest sequence that the tokenizer's configuration names, in tokens.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// Number of token ids, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Encodes a text, cut to `most` tokens where given.
    ///
    /// # Errors
    /// [`TokensError::Encode`].
    pub fn encode(&self, text: &str, most: Option<usize>) -> Result<EncodedSequence, TokensError> {
        let encoding = self.plain(text)?;
        self.finish(encoding, None, most)
    }

    /// Encodes a pair of texts; where it is longer than `most` tokens, the longer text is cut first.
    ///
    /// # Errors
    /// [`TokensError::Encode`].
    pub fn encode_pair(
        &self,
        first: &str,
        second: &str,
        most: Option<usize>,
    ) -> Result<EncodedSequence, TokensError> {
        let (first, second) = (self.plain(first)?, self.plain(second)?);
        self.finish(first, Some(second), most)
    }

    fn plain(&self, text: &str) -> Result<Encoding, TokensError> {
        self.tokenizer.encode(text, false).map_err(refused)
    }

    fn finish(
        &self,
        first: Encoding,
        second: Option<Encoding>,
        most: Option<usize>,
    ) -> Result<EncodedSequence, TokensError> {
        let (mut first, mut second) = (first, second);
        if let Some(most) = most {
            let processor = self.tokenizer.get_post_processor();
            let added = processor.map_or(0, |own| own.added_tokens(second.is_some()));
            let params = TruncationParams {
                max_length: most.saturating_sub(added),
                strategy: TruncationStrategy::LongestFirst,
                ..TruncationParams::default()
            };
            (first, second) = truncate_encodings(first, second, &params).map_err(refused)?;
        }
        let encoding = self.tokenizer.post_process(first, second, true).map_err(refused)?;
        Ok(EncodedSequence {
            tokens: encoding.get_ids().to_vec(),
            segments: encoding.get_type_ids().to_vec(),
        })
    }
}

fn refused(error: tokenizers::Error) -> TokensError {
    TokensError::Encode { detail: error.to_string() }
}
