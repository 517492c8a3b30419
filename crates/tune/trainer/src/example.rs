//! What the trainer learns from: token sequences with a loss weight for every token, pairs of a better
//! and a worse answer, and a teacher's distributions.

/// One training sequence.
///
/// `loss_weights[i]` is the weight of predicting `tokens[i]` from the tokens before it, so the
/// first weight is never used. Zero on the prompt and one on the answer gives answer-only loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Token ids, `T` of them.
    pub tokens: Vec<u32>,
    /// Weights in nats per token, `T` of them, none negative.
    pub loss_weights: Vec<f32>,
}

impl Example {
    /// An example whose loss counts every token alike.
    #[must_use]
    pub fn uniform(tokens: Vec<u32>) -> Self {
        let loss_weights = vec![1.0; tokens.len()];
        Self { tokens, loss_weights }
    }

    /// An example whose loss counts the answer only.
    #[must_use]
    pub fn answer_only(prompt: &[u32], answer: &[u32]) -> Self {
        let mut tokens = prompt.to_vec();
        tokens.extend_from_slice(answer);
        let mut loss_weights = vec![0.0; prompt.len()];
        loss_weights.resize(tokens.len(), 1.0);
        Self { tokens, loss_weights }
    }
}

/// Two answers to one prompt, of which people prefer the first.
///
/// Tokens with a positive loss weight are the answers; the prompt's have zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Preference {
    /// The prompt with the answer that was preferred.
    pub chosen: Example,
    /// The prompt with the other.
    pub rejected: Example,
}

/// What a teacher holds likely at each token of an example: soft targets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TeacherTargets {
    pub(crate) bounds: Vec<usize>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) log_probabilities: Vec<f32>,
}

impl TeacherTargets {
    /// Appends what the teacher says of the next token of the example, the first token's included: its most
    /// likely tokens with the logarithms of their probabilities, in nats. None where it says nothing.
    pub fn push(&mut self, likely: &[(u32, f32)]) {
        if self.bounds.is_empty() {
            self.bounds.push(0);
        }
        self.tokens.extend(likely.iter().map(|(token, _)| *token));
        self.log_probabilities.extend(likely.iter().map(|(_, logarithm)| *logarithm));
        self.bounds.push(self.tokens.len());
    }

    /// Tokens of the example that were described.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries for one token of the example.
    pub(crate) fn at(&self, index: usize) -> (&[u32], &[f32]) {
        let entries = self.bounds[index]..self.bounds[index + 1];
        (&self.tokens[entries.clone()], &self.log_probabilities[entries])
    }
}

/// An endless stream of examples for pretraining.
///
/// An example must be a pure function of the source, `index` and `tokens_seen`, so that a run that
/// was killed goes on with exactly the data that it would have seen.
pub trait ExampleSource: Send + Sync {
    /// The example at `index` (0, 1, 2, … over the whole run). `tokens_seen` counts the tokens of
    /// all batches before the one that this example goes into: curriculum stages depend on it.
    fn example(&self, index: u64, tokens_seen: u64) -> Example;
}
