//! Which traces.

use crate::list::Query;
use clap::Args;
use serde_json::{Map, Value};

/// Which traces.
#[derive(Debug, Clone, Args)]
pub struct Filter {
    /// Only calls of this endpoint.
    #[arg(long)]
    endpoint: Option<String>,
    /// Only answers of this release (id or name).
    #[arg(long)]
    release: Option<String>,
    /// Only answers of this model.
    #[arg(long)]
    model: Option<String>,
    /// Only calls that ended so.
    #[arg(long, value_parser = ["ok", "error", "cancelled", "partial"])]
    status: Option<String>,
    /// Only calls with feedback, or with `=false` without.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    has_feedback: Option<bool>,
    /// Only calls with a correction, or with `=false` without.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    has_correction: Option<bool>,
    /// Only calls whose text contains this.
    #[arg(long)]
    text: Option<String>,
    /// Only calls from then on: 30m, 2h, 7d, or an instant.
    #[arg(long, value_parser = crate::instant::argument)]
    since: Option<String>,
    /// Only calls before then.
    #[arg(long, value_parser = crate::instant::argument)]
    until: Option<String>,
}

impl Filter {
    pub(crate) fn query(&self) -> Query {
        let Self {
            endpoint,
            release,
            model,
            status,
            has_feedback,
            has_correction,
            text,
            since,
            until,
        } = self;
        Query::default()
            .with("endpoint", endpoint.as_ref())
            .with("release", release.as_ref())
            .with("model", model.as_ref())
            .with("status", status.as_ref())
            .with("has_feedback", *has_feedback)
            .with("has_correction", *has_correction)
            .with("text", text.as_ref())
            .with("since", since.as_ref())
            .with("until", until.as_ref())
    }

    pub(crate) fn body(&self) -> Value {
        let Self {
            endpoint,
            release,
            model,
            status,
            has_feedback,
            has_correction,
            text,
            since,
            until,
        } = self;
        let mut fields = Map::new();
        let texts = [
            ("endpoint", endpoint),
            ("release", release),
            ("model", model),
            ("status", status),
            ("text", text),
            ("since", since),
            ("until", until),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                fields.insert(name.into(), value.as_str().into());
            }
        }
        for (name, value) in [("has_feedback", has_feedback), ("has_correction", has_correction)] {
            if let Some(value) = value {
                fields.insert(name.into(), (*value).into());
            }
        }
        Value::Object(fields)
    }
}
