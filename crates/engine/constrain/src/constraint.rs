//! The state of one answer's grammar.

use std::fmt;

use llguidance::Matcher;

/// Where one answer stands in its grammar.
pub struct Constraint {
    matcher: Matcher,
}

/// The grammar cannot be followed any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer's grammar cannot be followed further: {0}")]
pub struct Broken(pub String);

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

/// A clone goes its own way from here and shares no lock with the original.
impl Clone for Constraint {
    fn clone(&self) -> Self {
        Self { matcher: self.matcher.deep_clone() }
    }
}

impl Constraint {
    pub(crate) fn new(matcher: Matcher) -> Self {
        Self { matcher }
    }

    /// Sets the logits of all tokens that may not come next to minus infinity. The end-of-text token may come
    /// where the answer is complete.
    ///
    /// # Errors
    /// [`Broken`] when the set costs more than a grammar may.
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<(), Broken> {
        let allowed =
            self.matcher.compute_mask_or_eos().map_err(|error| Broken(error.to_string()))?;
        for (token, logit) in logits.iter_mut().enumerate() {
            if token >= allowed.len() || !allowed.get(token) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Goes on with the token that was chosen.
    ///
    /// # Errors
    /// [`Broken`] when the grammar does not allow it.
    pub fn accept(&mut self, token: u32) -> Result<(), Broken> {
        if self.matcher.is_stopped() {
            return Ok(());
        }
        self.matcher.consume_token(token).map_err(|error| Broken(error.to_string()))
    }

    /// Whether the answer is complete and nothing can follow.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}
