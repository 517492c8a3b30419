//! Callers and their rights.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A right that a principal may hold. A higher one includes those before it, but for inference,
/// which stands alone: an application's key must not read other people's traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Call models and send feedback on one's own calls.
    Inference,
    /// Read everything in the project.
    Read,
    /// Change things in the project: datasets, jobs, releases, endpoints.
    Write,
    /// Manage keys and the project itself.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Inference => "inference",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// For people and the audit log: `key:ci`, `loopback`, `system`.
    pub name: String,
    /// The rights held.
    pub scopes: Vec<Scope>,
}

impl Principal {
    /// Pelton itself.
    #[must_use]
    pub fn system() -> Self {
        Self { name: "system".into(), scopes: vec![Scope::Admin, Scope::Inference] }
    }

    /// Whoever sits at this machine, while the server listens on loopback only.
    #[must_use]
    pub fn loopback() -> Self {
        Self { name: "loopback".into(), scopes: vec![Scope::Admin, Scope::Inference] }
    }

    /// Whether the principal holds `scope`, by itself or through a higher one.
    #[must_use]
    pub fn holds(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|&held| {
            held == scope || (scope != Scope::Inference && held != Scope::Inference && held > scope)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_include_lower_ones_but_inference_stands_alone() {
        let holding = |scope| Principal { name: "p".into(), scopes: vec![scope] };
        assert!(holding(Scope::Admin).holds(Scope::Write));
        assert!(holding(Scope::Write).holds(Scope::Read));
        assert!(!holding(Scope::Read).holds(Scope::Write));
        assert!(!holding(Scope::Inference).holds(Scope::Read));
        assert!(!holding(Scope::Admin).holds(Scope::Inference));
    }
}
