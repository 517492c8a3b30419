//! Continuous batching, sampling and adapters over the decoder. Cannot reach HTTP.
//!
//! A [`Scheduler`] owns a thread that turns in steps. Each step takes what the running sequences need
//! next (a chunk of a prompt, or one token), packs it ragged, shares it out over a few workers, and
//! sends what came out to the callers. Requests join and leave between steps. Every row of a step may
//! use another LoRA adapter, or none.
//!
//! In the order in which a request meets them: [`request`] says what can be asked, `waiting_queue`
//! and `plan_step` decide what runs, `paged_kv` and `prefix_cache` hold its keys and values, `forward`
//! computes, `sampler` chooses, `sequence` turns tokens into text and events.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod adapter_registry;
mod counters;
mod decoder;
mod forward;
mod hidden_states;
mod lora;
mod paged_kv;
mod plan_step;
mod prefix_cache;
mod prompt_logits;
mod prompt_lookup;
mod request;
mod sampler;
mod scheduler;
mod sequence;
mod step_loop;
mod stop_strings;
mod team;
mod waiting_queue;
mod worker;

pub use adapter_registry::{AdapterError, AdapterInfo};
pub use counters::{Counters, CountersSnapshot, HistogramSnapshot};
pub use decoder::Decoder;
pub use hidden_states::hidden_states;
pub use prompt_logits::{last_logits, logits};
pub use request::{
    Completion, Event, FinishReason, GenerateRequest, Sampling, SubmitError, TokenLogprob, Usage,
};
pub use scheduler::{Limits, Scheduler, SchedulerError};

#[cfg(test)]
mod plain_decoder;
#[cfg(test)]
mod tests;
