//! API keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    /// `key_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// The start of the secret.
    pub prefix: String,
    /// `inference`, `read`, `write`, `admin`.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it was withdrawn.
    pub revoked_at: Option<String>,
    /// When it was last used.
    pub last_used_at: Option<String>,
    /// The secret: shown once, when the key is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Asks for a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// For people.
    pub name: String,
    /// `inference`, `read`, `write`, `admin`.
    pub scopes: Vec<String>,
}
