//! Fine-tunes as jobs for a cluster.

use super::jobs::{LearnsFrom, Resolved, resolve};
use super::{Answer, Shared};
use crate::authenticate::Caller;
use crate::error::{ApiError, Code};
use crate::extract::Body;
use crate::manifest;
use crate::state::Api;
use crate::wire::render::{
    ClusterRequest, RenderPrecision, RenderRequest, RenderSharding, RenderTarget, RenderedFinetune,
};
use axum::Json;
use axum::extract::State;
use pelton_context::Scope;
use pelton_finetune::TrainingRows;
use pelton_render::{
    Base, Cluster, Inputs, Precision, RenderError, Rendered, SecretKey, Sharding, Source, Target,
};
use serde_json::json;

/// Render a fine-tune as a Kubernetes Job or an Argo WorkflowTemplate. Nothing is started.
#[utoipa::path(post, path = "/api/v1/finetunes/render", tag = "jobs", request_body = RenderRequest, responses((status = 200, body = RenderedFinetune)))]
pub async fn render_finetune(
    State(api): Shared,
    Caller(caller): Caller,
    Body(RenderRequest { finetune, cluster }): Body<RenderRequest>,
) -> Answer<RenderedFinetune> {
    caller.require(Scope::Write)?;
    let Resolved { base, source, request } = resolve(&api, &caller, finetune).await?;
    let spec =
        serde_json::from_value(json!(request)).map_err(|error| ApiError::internal(&error))?;
    let (source, rows) = learns_from(&api, source, request.train_rows).await?;
    let base =
        Base { reference: base.reference, digest: base.digest.to_string(), license: base.license };
    let inputs = Inputs { base, source, rows };
    let Rendered { manifest, notes } = pelton_render::render(&spec, &inputs, &rules(cluster))?;
    Ok(Json(RenderedFinetune { manifest, notes }))
}

async fn learns_from(
    api: &Api,
    source: LearnsFrom,
    train_rows: Option<u64>,
) -> Result<(Source, TrainingRows), ApiError> {
    Ok(match source {
        LearnsFrom::Dataset(version) => {
            let rows = TrainingRows {
                examples: train_rows.unwrap_or(u64::MAX).min(version.rows.train),
                validates: version.rows.validation > 0,
                rehearses: false,
            };
            (Source::Dataset { name: version.name, digest: version.digest.to_string() }, rows)
        }
        LearnsFrom::Preferences(digest) => {
            let text = manifest::read_text(api, digest).await?;
            let pairs = text.lines().filter(|line| !line.trim().is_empty()).count();
            let rows = TrainingRows { examples: pairs as u64, validates: false, rehearses: false };
            (Source::Preferences { digest: digest.to_string() }, rows)
        }
    })
}

fn rules(cluster: ClusterRequest) -> Cluster {
    let ClusterRequest {
        target,
        image,
        server_url,
        namespace,
        service_account,
        api_key_secret,
        api_key_secret_key,
        nodes,
        gpus_per_node,
        gpu_resource,
        sharding,
        cpu,
        memory,
        storage_claim,
        precision,
        micro_batch_tokens,
    } = cluster;
    Cluster {
        target: match target {
            RenderTarget::Kubernetes => Target::Kubernetes,
            RenderTarget::Argo => Target::Argo,
        },
        image,
        server_url,
        namespace,
        service_account,
        api_key_secret: SecretKey { name: api_key_secret, key: api_key_secret_key },
        nodes,
        gpus_per_node,
        gpu_resource,
        sharding: match sharding {
            RenderSharding::None => Sharding::None,
            RenderSharding::Fsdp => Sharding::Fsdp,
        },
        cpu,
        memory,
        storage_claim,
        precision: precision.map(|precision| match precision {
            RenderPrecision::Bf16 => Precision::Bf16,
            RenderPrecision::F32 => Precision::F32,
        }),
        micro_batch_tokens,
    }
}

impl From<RenderError> for ApiError {
    fn from(error: RenderError) -> Self {
        match &error {
            RenderError::Invalid { .. } => Self::new(Code::InvalidRequest, error.to_string()),
            RenderError::Unsupported { what: _, hint } => {
                Self::new(Code::Unprocessable, error.to_string()).hint(*hint)
            }
            RenderError::Template(_) | RenderError::Settings(_) => Self::internal(&error),
        }
    }
}
