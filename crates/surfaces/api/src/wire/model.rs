//! Models: bases and adapters.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One version of a base model or an adapter.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// `mdl_…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// 1 is the first.
    pub version: i64,
    /// `name@version`
    #[serde(rename = "ref")]
    pub reference: String,
    /// `base` or `adapter`.
    pub kind: String,
    /// For an adapter, the base that it belongs to.
    pub base: Option<String>,
    /// SHA-256 of its manifest.
    pub digest: String,
    /// Bytes of all files.
    pub size_bytes: i64,
    /// When it was registered.
    pub created_at: String,
    /// Its licence, as SPDX.
    pub license: Option<String>,
    /// The model card, in Markdown.
    pub card: String,
    /// Where it comes from; null for one that was brought.
    pub lineage: Option<Value>,
    /// Its files.
    pub files: Vec<ModelFile>,
}

/// A file of a model.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelFile {
    /// Its path inside the model's folder.
    pub path: String,
    /// SHA-256 of its content.
    pub digest: String,
    /// Bytes; found from the blob when left out.
    #[serde(default)]
    pub size: u64,
}

/// Registers a model from blobs that were uploaded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterModel {
    /// Its name.
    pub name: String,
    /// `base` or `adapter`.
    pub kind: String,
    /// For an adapter, the base that it belongs to, `name@version`.
    #[serde(default)]
    pub base: Option<String>,
    /// Its files.
    pub files: Vec<ModelFile>,
    /// Its licence, as SPDX.
    #[serde(default)]
    pub license: Option<String>,
    /// The model card, in Markdown.
    #[serde(default)]
    pub card: String,
    /// Where it comes from.
    #[serde(default)]
    pub lineage: Option<Value>,
}
