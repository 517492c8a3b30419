//! The model card: what the model is, what made it, and what was measured on held-out items.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Exact matches of greedy answers on one task's held-out items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ability {
    /// The task's name.
    pub task: String,
    /// Answers that were right to the byte.
    pub right: usize,
    /// Items asked.
    pub asked: usize,
}

/// What the card says about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Parameters, the shared embedding counted once.
    pub parameters: usize,
    /// Rows of the embedding.
    pub vocab: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Threads.
    pub threads: usize,
    /// Seed of weights and corpus.
    pub seed: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// The optimizer's name.
    pub optimizer: String,
    /// Loss on held-out items at the end, in nats per weighted token.
    pub final_loss: f32,
    /// Held-out abilities.
    pub abilities: Vec<Ability>,
}

/// The card as Markdown with the front matter that model hubs read.
#[must_use]
pub fn model_card(run: &Run) -> String {
    let millions = |value: f64| format!("{:.2}", value / 1e6);
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    let (parameters, tokens) = (run.parameters as f64, run.tokens as f64);
    let mut text = format!(
        "---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [pelton, tiny, lora-base]
---

# pelton-tiny

A base model of {parameters} million parameters that copies, looks up, selects records and fills JSON in
templated English. It exists so that a whole turn of the wheel, fine-tuning included, runs in minutes on two CPU
cores. It is no general assistant.

## Model
`LlamaForCausalLM`: width {width}, {layers} layers, {heads} query and {kv} key-value heads, feed-forward {ff}, vocabulary
{vocab} (byte-level BPE; words and numbers of up to two digits are tokens that do not depend on what stands before them), tied embeddings, weights in F32. The chat template is
`<bos><|system|>…<|user|>…<|assistant|>…<eos>`.

## Data
Everything comes from the project's own seeded generator (`crates/tune/tiny`); nothing was collected or downloaded.
Random token ids alone come first (copies, forwards and backwards, pairs, rows with names); then lookups and the papers of
desks, short, with such ids beside them; then the same longer, with records of other kinds, sentences to JSON, small
arithmetic, and customer requests from a small grammar with their intent; at last all at full size. One list is followed by
several questions. Values are random, so that copying cannot be memorized. Labels, layouts and the answer schema of the
telco desk are not in the data. The loss is on answers alone.

## Training
{steps} steps, {tokens_text:.1} million tokens, {minutes:.0} minutes on {threads} threads ({speed:.0} tokens/s), {optimizer}
with peak learning rate {lr}, seed {seed}. Held-out loss at the end: {loss:.3}. `cargo xtask train-tiny` makes
these files from nothing, to the bit on one kind of processor.

![Training loss](loss_curve.svg)

## What it can do
Exact match of greedy answers on held-out items at full size (no held-out question is in the training data):

| task | exact match | items |
| --- | --- | --- |
",
        parameters = millions(parameters),
        width = run.width,
        layers = run.layers,
        heads = run.heads,
        kv = run.kv_heads,
        ff = run.feed_forward,
        vocab = run.vocab,
        steps = run.steps,
        tokens_text = tokens / 1e6,
        minutes = run.seconds / 60.0,
        threads = run.threads,
        speed = tokens / run.seconds.max(1e-9),
        optimizer = run.optimizer,
        lr = run.learning_rate,
        seed = run.seed,
        loss = run.final_loss,
    );
    for Ability { task, right, asked } in &run.abilities {
        #[expect(clippy::cast_precision_loss, reason = "for reading")]
        let share = *right as f64 / (*asked).max(1) as f64;
        let _ = writeln!(text, "| {task} | {share:.3} | {asked} |");
    }
    text.push_str(
        "
## What it cannot do
It has no knowledge of the world, holds no conversation and writes no open English: outside of templates like those above
it produces fluent-looking fragments. Lists longer than about six records or 400 tokens are outside of what it saw.
Arithmetic beyond comparing and adding two small numbers was not taught. Its answers are not calibrated.
",
    );
    text
}
