//! Sampling parameters, each of them optional.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How an answer is sampled. What is absent is left to the upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Zero is greedy.
    pub temperature: Option<f64>,
    /// Nucleus mass in (0, 1].
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens stay in; not every upstream knows it.
    pub top_k: Option<u32>,
    /// Longest answer in tokens.
    pub max_tokens: Option<u32>,
    /// Makes sampling repeatable.
    pub seed: Option<i64>,
    /// Texts at which the answer ends.
    pub stop: Option<Stop>,
}

/// One stop text or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stop {
    /// A single text.
    One(String),
    /// Any of several.
    Many(Vec<String>),
}

impl Sampling {
    /// The parameters that are set, as members of a request. `max_tokens` goes by its newer name
    /// too: a caller that set either has set it, see [`Sampling::names`].
    #[must_use]
    pub fn members(&self) -> Vec<(&'static str, Value)> {
        let Self { temperature, top_p, top_k, max_tokens, seed, stop } = self;
        let stop = stop.as_ref().map(|stop| match stop {
            Stop::One(text) => Value::from(text.clone()),
            Stop::Many(texts) => Value::from(texts.clone()),
        });
        [
            ("temperature", temperature.map(Value::from)),
            ("top_p", top_p.map(Value::from)),
            ("top_k", top_k.map(Value::from)),
            ("max_tokens", max_tokens.map(Value::from)),
            ("seed", seed.map(Value::from)),
            ("stop", stop),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
    }

    /// The names under which a caller may have set the parameter called `name`.
    #[must_use]
    pub fn names(name: &str) -> &[&str] {
        match name {
            "max_tokens" => &["max_tokens", "max_completion_tokens"],
            "temperature" => &["temperature"],
            "top_p" => &["top_p"],
            "top_k" => &["top_k"],
            "seed" => &["seed"],
            "stop" => &["stop"],
            _ => &[],
        }
    }
}
