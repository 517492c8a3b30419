//! One type per kind of identifier.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

use crate::Micros;

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {article} id: it should read `{prefix}_` and 32 hexadecimal digits")]
pub struct IdError {
    text: String,
    article: &'static str,
    prefix: &'static str,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $article:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix that says the kind, without its underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh identifier that sorts after those made before it.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The identifier with these 128 bits, for tests and for derived ids.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The 128 bits.
            #[must_use]
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// When the identifier was made, to the millisecond below: the first 48 bits of a UUIDv7 (RFC 9562).
            #[must_use]
            pub fn made_at(self) -> Micros {
                let millis = i64::try_from(self.0.as_u128() >> 80).unwrap_or(i64::MAX);
                Micros(millis.saturating_mul(1_000))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let bad = || IdError {
                    text: text.chars().take(64).collect(),
                    article: $article,
                    prefix: $prefix,
                };
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or_else(bad)?;
                if hex.len() != 32 {
                    return Err(bad());
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| bad())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

typed_id!(
    /// A tenant: nothing crosses from one project to another.
    ProjectId, "prj", "a project"
);
typed_id!(
    /// A key that a client authenticates with.
    ApiKeyId, "key", "an API key"
);
typed_id!(
    /// The name that an application calls.
    EndpointId, "ep", "an endpoint"
);
typed_id!(
    /// An immutable bundle behind an endpoint.
    ReleaseId, "rel", "a release"
);
typed_id!(
    /// A staged change from one release to another.
    RolloutId, "rol", "a rollout"
);
typed_id!(
    /// A decision over evaluations that a rollout must pass.
    GateId, "gate", "a gate"
);
typed_id!(
    /// A base model or an adapter, one version.
    ModelId, "mdl", "a model"
);
typed_id!(
    /// A dataset.
    DatasetId, "ds", "a dataset"
);
typed_id!(
    /// One immutable version of a dataset.
    DatasetVersionId, "dsv", "a dataset version"
);
typed_id!(
    /// A stored artifact's manifest row.
    ArtifactId, "art", "an artifact"
);
typed_id!(
    /// A unit of durable work.
    JobId, "job", "a job"
);
typed_id!(
    /// One evaluation of one target.
    EvaluationId, "eval", "an evaluation"
);
typed_id!(
    /// One call as served.
    InferenceId, "inf", "an inference"
);
typed_id!(
    /// A score, label, correction or comment on an inference.
    FeedbackId, "fb", "a feedback"
);
typed_id!(
    /// An audit entry.
    AuditId, "aud", "an audit entry"
);
typed_id!(
    /// One HTTP request to Pelton.
    RequestId, "req", "a request"
);
typed_id!(
    /// A trace: what belongs to one task of the application.
    TraceId, "trc", "a trace"
);
typed_id!(
    /// A span inside a trace.
    SpanId, "spn", "a span"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let id = ReleaseId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("rel_"));
    }

    #[test]
    fn refuses_another_kind_and_says_what_it_wants() {
        let job = JobId::from_u128(7).to_string();
        let refused = job.parse::<ReleaseId>().map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err("`job_00000000000000000000000000000007` is not a release id: it should read `rel_` and 32 hexadecimal digits".to_owned())
        );
    }

    #[test]
    fn sorts_by_creation() {
        let ids: Vec<InferenceId> = (0..64).map(|_| InferenceId::generate()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn knows_when_it_was_made() {
        // The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z.
        let id = InferenceId::from_u128(0x017F_22E2_79B0_7CC3_98C4_DC0C_0C07_398F);
        assert_eq!(id.made_at(), Micros(1_645_557_742_000_000));
    }
}
