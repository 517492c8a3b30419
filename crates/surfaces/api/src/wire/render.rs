//! Fine-tunes as jobs for a cluster.

use super::job::FinetuneRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for a fine-tune as a manifest for a cluster, which runs it with TRL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// What is to be trained: the same as for a job of Pelton's own.
    pub finetune: FinetuneRequest,
    /// Where and with what.
    pub cluster: ClusterRequest,
}

/// Where and with what a job runs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterRequest {
    /// `kubernetes` (a Job) or `argo` (a WorkflowTemplate).
    #[serde(default)]
    pub target: RenderTarget,
    /// The container image, with Python, TRL and what TRL needs in it.
    pub image: String,
    /// Pelton's address, as pods reach it.
    pub server_url: String,
    /// The namespace; that of `kubectl` when left out.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The pods' service account.
    #[serde(default)]
    pub service_account: Option<String>,
    /// The Secret that holds an API key with the scopes `read` and `write`.
    #[serde(default = "api_key_secret")]
    pub api_key_secret: String,
    /// The key in that Secret.
    #[serde(default = "api_key_secret_key")]
    pub api_key_secret_key: String,
    /// Machines that train together.
    #[serde(default = "one")]
    pub nodes: u32,
    /// GPUs on each; 0 to train on the CPU.
    #[serde(default = "one")]
    pub gpus_per_node: u32,
    /// The resource that counts GPUs.
    #[serde(default = "gpu_resource")]
    pub gpu_resource: String,
    /// `none`, or `fsdp` for a model that one GPU cannot hold.
    #[serde(default)]
    pub sharding: RenderSharding,
    /// CPUs of each node.
    #[serde(default = "cpu")]
    pub cpu: String,
    /// Memory of each node.
    #[serde(default = "memory")]
    pub memory: String,
    /// The persistent volume claim for checkpoints.
    #[serde(default)]
    pub storage_claim: Option<String>,
    /// `bf16` or `f32`; `bf16` on GPUs when left out.
    #[serde(default)]
    pub precision: Option<RenderPrecision>,
    /// Tokens of one forward pass of one GPU at most, about.
    #[serde(default = "micro_batch_tokens")]
    pub micro_batch_tokens: u32,
}

fn api_key_secret() -> String {
    "pelton-api-key".into()
}

fn api_key_secret_key() -> String {
    "api-key".into()
}

const fn one() -> u32 {
    1
}

fn gpu_resource() -> String {
    "nvidia.com/gpu".into()
}

fn cpu() -> String {
    "4".into()
}

fn memory() -> String {
    "16Gi".into()
}

const fn micro_batch_tokens() -> u32 {
    8_192
}

/// What a job is rendered as.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RenderTarget {
    /// A Kubernetes Job.
    #[default]
    Kubernetes,
    /// An Argo WorkflowTemplate.
    Argo,
}

/// How a model is divided among GPUs.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RenderSharding {
    /// Each GPU has all of it.
    #[default]
    None,
    /// PyTorch's fully sharded data parallelism.
    Fsdp,
}

/// What is computed with.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RenderPrecision {
    /// 16 bits, with sums in 32.
    Bf16,
    /// 32 bits.
    F32,
}

/// A fine-tune as a manifest.
#[derive(Debug, Serialize, ToSchema)]
pub struct RenderedFinetune {
    /// YAML documents, for `kubectl apply`.
    pub manifest: String,
    /// What the job does otherwise than Pelton's own trainer would, and what it needs.
    pub notes: Vec<String>,
}
