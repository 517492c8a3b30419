//! What the trainer learns from: token sequences with a loss weight for every token.

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

/// An endless stream of examples for pretraining.
///
/// An example must be a pure function of the source, `index` and `tokens_seen`, so that a run that
/// was killed goes on with exactly the data that it would have seen.
pub trait ExampleSource: Send + Sync {
    /// The example at `index` (0, 1, 2, … over the whole run). `tokens_seen` counts the tokens of
    /// all batches before the one that this example goes into: curriculum stages depend on it.
    fn example(&self, index: u64, tokens_seen: u64) -> Example;
}
