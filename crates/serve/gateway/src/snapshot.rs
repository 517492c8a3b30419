//! What is served: an immutable picture, swapped whole, so that a call sees one state throughout.

use crate::account::Price;
use pelton_egress::Reach;
use pelton_ids::{Micros, ReleaseId};
use pelton_llm_types::Sampling;
use pelton_secrets::Redacted;
use std::collections::HashMap;
use std::sync::Arc;

/// Everything that routing knows.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Endpoints by name.
    pub endpoints: HashMap<String, Endpoint>,
    /// The releases that endpoints send traffic to.
    pub releases: HashMap<ReleaseId, Arc<Release>>,
    /// Models that can be called directly, by reference.
    pub models: HashMap<String, Target>,
    /// Digest of all this, kept in each record.
    pub config_hash: String,
    /// Counts changes, kept in each record.
    pub generation: i64,
}

/// A name that applications call.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: Micros,
    /// Which releases answer, with relative weights.
    pub traffic: Vec<Share>,
}

/// A release's part of an endpoint's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The release.
    pub release: ReleaseId,
    /// Its weight, relative to the others'; zero gets no traffic.
    pub weight: u32,
}

/// A release as the gateway needs it.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Its name.
    pub name: String,
    /// Where it runs: the first is asked first, the others when it fails.
    pub targets: Vec<Target>,
    /// Parameters for callers that set none.
    pub sampling: Sampling,
    /// Instructions for callers that send none.
    pub system_prompt: Option<String>,
}

/// An OpenAI-compatible upstream and what to ask it for. The embedded engine is one of them.
#[derive(Debug, Clone)]
pub struct Target {
    /// Names the target in traces and metrics.
    pub name: String,
    /// The address up to and including `/v1`; none while it is not up.
    pub base_url: Option<String>,
    /// The model to ask for: an adapter's name at the engine.
    pub model: String,
    /// The bearer token or API key.
    pub api_key: Option<Redacted<String>>,
    /// Where its address may lie.
    pub reach: Reach,
    /// What its tokens cost; unknown when absent.
    pub price: Option<Price>,
}
