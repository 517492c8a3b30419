//! A fine-tune as a job for a cluster: a spec goes in, a manifest comes out. Cannot reach files or the network.
//!
//! What comes out is a Kubernetes Job or an Argo WorkflowTemplate with a ConfigMap beside it, which holds the
//! settings and the scripts in `trl/`. They fetch by digest, train with TRL, and publish as Pelton's own
//! trainer does. What TRL cannot do is refused, or told in [`Rendered::notes`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod cluster;
mod error;
mod fit;
mod manifest;
mod settings;

#[cfg(test)]
mod tests;

pub use cluster::{Cluster, Precision, SecretKey, Sharding, Target};
pub use error::RenderError;
pub use settings::{Base, Inputs, Source};

use pelton_finetune::FinetuneSpec;

/// A job for a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// YAML documents for `kubectl apply`.
    pub manifest: String,
    /// What this job does otherwise than Pelton's own trainer would, and what it needs.
    pub notes: Vec<String>,
}

/// Renders `spec`, whose names were resolved to `inputs`, for `cluster`.
///
/// # Errors
/// When a field of `cluster` is not valid, or the job cannot do what `spec` asks for.
pub fn render(
    spec: &FinetuneSpec,
    inputs: &Inputs,
    cluster: &Cluster,
) -> Result<Rendered, RenderError> {
    cluster.check()?;
    fit::check(spec, cluster)?;
    let notes = fit::notes(spec, cluster);
    let settings = settings::settings(spec, inputs, cluster)?;
    let manifest = manifest::manifest(spec, &settings, &notes, cluster)?;
    Ok(Rendered { manifest, notes })
}
