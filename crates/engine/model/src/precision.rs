//! The precision that serving asks for.

use serde::{Deserialize, Serialize};

/// How linear layers keep their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Blocks of 32 signed bytes with one scale.
    Q8_0,
}
