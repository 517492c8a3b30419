//! Calls as served, and what people said of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Which calls: every field that is set must match.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct TraceFilter {
    /// The endpoint's name.
    pub endpoint: Option<String>,
    /// The release's id or name.
    pub release: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// `ok`, `error`, `cancelled` or `partial`.
    pub status: Option<String>,
    /// Whether there is feedback.
    pub has_feedback: Option<bool>,
    /// Whether there is a correction.
    pub has_correction: Option<bool>,
    /// Text inside the previews of question or answer.
    pub text: Option<String>,
    /// At or after this instant.
    pub since: Option<String>,
    /// Before this instant.
    pub until: Option<String>,
}

/// One call in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceSummary {
    /// `inf_…`
    pub id: String,
    /// Groups the calls of one task of the application.
    pub trace_id: Option<String>,
    /// When the request arrived.
    pub started_at: String,
    /// The name that the application called; null for a direct call of a model.
    pub endpoint: Option<String>,
    /// The release that answered.
    pub release_id: Option<String>,
    /// Its name.
    pub release_name: Option<String>,
    /// The model that answered.
    pub model: String,
    /// `ok`, `error`, `cancelled` or `partial`.
    pub status: String,
    /// Why it failed.
    pub error_code: Option<String>,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// Tokens of the question.
    pub prompt_tokens: Option<i64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<i64>,
    /// Cost in nano-dollars; null when the price is unknown.
    pub cost_nanousd: Option<i64>,
    /// From arrival to the last byte.
    pub latency_ms: f64,
    /// From arrival to the first content byte.
    pub ttft_ms: Option<f64>,
    /// The start of the last message.
    pub preview_input: String,
    /// The start of the answer.
    pub preview_output: String,
    /// What people said, in short.
    pub feedback: FeedbackSummary,
    /// The request's metadata.
    pub tags: BTreeMap<String, String>,
}

/// What people said of a call, in short.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct FeedbackSummary {
    /// How many said something.
    pub count: i64,
    /// The mean score, 0 to 1.
    pub score: Option<f64>,
    /// Whether a correction was given.
    pub has_correction: bool,
}

/// One call, whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trace {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: TraceSummary,
    /// The request as it came.
    pub request: Value,
    /// The response as it went; null when there was none.
    pub response: Option<Value>,
    /// The request's messages.
    pub messages: Vec<Value>,
    /// The answer's text.
    pub output: String,
    /// Why this target was chosen and what was tried.
    pub route: Value,
    /// Names the configuration in force.
    pub config_hash: Option<String>,
    /// What people said.
    pub feedback_items: Vec<Feedback>,
}

/// What an application, a person or a judge says of a call.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The call: the header `x-pelton-inference-id` of its response.
    pub inference_id: String,
    /// 0 is bad, 1 is good.
    #[serde(default)]
    pub score: Option<f64>,
    /// A category.
    #[serde(default)]
    pub label: Option<String>,
    /// What the answer should have been.
    #[serde(default)]
    pub correction: Option<String>,
    /// Anything else.
    #[serde(default)]
    pub comment: Option<String>,
    /// `human`, `application` or `judge`; `application` when left out.
    #[serde(default)]
    pub source: Option<String>,
}

/// What somebody said of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feedback {
    /// `fb_…`
    pub id: String,
    /// The call.
    pub inference_id: String,
    /// When.
    pub at: String,
    /// 0 is bad, 1 is good.
    pub score: Option<f64>,
    /// A category.
    pub label: Option<String>,
    /// What the answer should have been.
    pub correction: Option<String>,
    /// Anything else.
    pub comment: Option<String>,
    /// `human`, `application` or `judge`.
    pub source: String,
    /// Who said it.
    pub by: String,
}

/// Which sums over which calls.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateRequest {
    /// Which calls.
    #[serde(default)]
    pub filter: TraceFilter,
    /// `endpoint`, `release`, `model`, `status`, `minute`, `hour`, `day`.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// `count`, `errors`, `prompt_tokens`, `completion_tokens`, `cost_nanousd`, `latency_p50`,
    /// `latency_p95`, `ttft_p50`, `score_mean`.
    pub aggregates: Vec<String>,
}

/// One group's sums.
#[derive(Debug, Serialize, ToSchema)]
pub struct AggregateRow {
    /// The group's keys.
    pub group: BTreeMap<String, Value>,
    /// Its values; null where unknown.
    pub values: BTreeMap<String, Option<f64>>,
}

/// The answer to [`AggregateRequest`].
#[derive(Debug, Serialize, ToSchema)]
pub struct Aggregates {
    /// A row for each group.
    pub rows: Vec<AggregateRow>,
}
