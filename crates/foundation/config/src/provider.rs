//! Upstream providers, declared in the configuration file.

use serde::{Deserialize, Serialize};

/// An OpenAI-compatible upstream: `[providers.NAME]` in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The address up to and including `/v1`.
    pub base_url: String,
    /// The environment variable that holds the API key; none for an open upstream.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// Whether the address may lie in a private or loopback range.
    #[serde(default)]
    pub allow_private: bool,
    /// Price of a million prompt tokens, in nano-dollars; unknown when absent.
    #[serde(default)]
    pub prompt_nanousd_per_million: Option<i64>,
    /// Price of a million completion tokens, in nano-dollars; unknown when absent.
    #[serde(default)]
    pub completion_nanousd_per_million: Option<i64>,
}
