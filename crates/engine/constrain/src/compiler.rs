//! From a grammar to a constraint over one tokenizer's tokens.

use std::fmt;
use std::sync::Arc;

use llguidance::api::ParserLimits;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use pelton_tokens::TextCodec;

use crate::{Constraint, Grammar, GrammarError};

/// Compiles grammars for one tokenizer.
pub struct Compiler {
    factory: ParserFactory,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

impl Compiler {
    /// A compiler for `codec`'s tokens. `vocab` is the number of logits that the model gives, at least as many as
    /// the tokenizer has tokens.
    ///
    /// # Errors
    /// Where the tokenizer has no end-of-text token or its tokens make no tree.
    pub fn new(codec: &TextCodec, vocab: usize) -> Result<Self, GrammarError> {
        let Some(&eos) = codec.eos().first() else {
            let reason = "the tokenizer names no end-of-text token";
            return Err(GrammarError::Invalid(reason.to_owned()));
        };
        let words: Vec<Vec<u8>> = (0..vocab as u32).map(|token| bytes_of(codec, token)).collect();
        let trie = TokTrie::from(&TokRxInfo::new(vocab as u32, eos), &words);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|error| GrammarError::Invalid(error.to_string()))?;
        factory.quiet();
        // A grammar comes from outside: its errors do not repeat the tokens so far.
        *factory.limits_mut() = ParserLimits { verbose_errors: false, ..ParserLimits::default() };
        Ok(Self { factory })
    }

    /// Compiles `grammar`. Takes milliseconds, for a very large schema up to a second: not for an async thread.
    ///
    /// # Errors
    /// [`GrammarError`].
    pub fn compile(&self, grammar: &Grammar) -> Result<Constraint, GrammarError> {
        let parser = self.factory.create_parser(grammar.to_top_level()?);
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            Some(error) => Err(GrammarError::Invalid(error)),
            None => Ok(Constraint::new(matcher)),
        }
    }
}

/// A token's bytes as llguidance wants them: special tokens are marked, so that no text matches them.
fn bytes_of(codec: &TextCodec, token: u32) -> Vec<u8> {
    let bytes = codec.token_bytes().get(token);
    if !bytes.is_empty() {
        return bytes.to_vec();
    }
    let mut marked = vec![TokTrie::SPECIAL_TOKEN_MARKER];
    match codec.id_to_token(token) {
        Some(name) => marked.extend(name.bytes()),
        // A row of the embedding that belongs to no token.
        None => marked.extend(format!("<unused-{token}>").bytes()),
    }
    marked
}
