//! `GET /metrics`: Prometheus text, with vLLM's names where it has one, so that its dashboards work.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use pelton_scheduler::{CountersSnapshot, HistogramSnapshot};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::reading::ReadingCounters;
use crate::state::EngineState;

/// What the engine counted.
pub(crate) async fn metrics(State(state): State<EngineState>) -> impl IntoResponse {
    let counters = state.shared.scheduler.counters();
    let text = render(&counters, &state.shared.served_name);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

fn render(counters: &CountersSnapshot, model: &str) -> String {
    let mut page = Page::of(model);
    let c = counters;
    page.one("gauge", "vllm:num_requests_running", "Sequences in the batch.", c.running as f64);
    page.one("gauge", "vllm:num_requests_waiting", "Requests not begun.", c.waiting as f64);
    let help = "Share of the key-value cache that running requests hold.";
    page.one("gauge", "vllm:kv_cache_usage_perc", help, c.kv_usage);
    page.one("counter", "vllm:prompt_tokens_total", "Prompt tokens.", c.prompt_tokens as f64);
    let help = "Generated tokens.";
    page.one("counter", "vllm:generation_tokens_total", help, c.generation_tokens as f64);
    let help = "Prompt tokens looked up in the prefix cache.";
    page.one("counter", "vllm:prefix_cache_queries_total", help, c.prompt_tokens as f64);
    let help = "Prompt tokens found in the prefix cache.";
    page.one("counter", "vllm:prefix_cache_hits_total", help, c.cached_tokens as f64);
    page.one("counter", "pelton_engine_steps_total", "Steps of the scheduler.", c.steps as f64);
    let help = "Times that a sequence made room for others.";
    page.one("counter", "vllm:num_preemptions_total", help, c.preemptions as f64);
    let help = "Tokens guessed by prompt lookup.";
    page.one("counter", "vllm:spec_decode_num_draft_tokens_total", help, c.guessed as f64);
    let help = "Guessed tokens that were right.";
    page.one("counter", "vllm:spec_decode_num_accepted_tokens_total", help, c.guessed_right as f64);
    let help = "Requests refused because too many waited.";
    page.one("counter", "pelton_engine_rejected_total", help, c.rejected as f64);
    page.header("counter", "vllm:request_success_total", "Requests by the way they ended.");
    for (reason, count) in [("stop", c.stopped), ("length", c.length), ("abort", c.aborted)] {
        let extra = format!("finished_reason=\"{reason}\"");
        page.sample("vllm:request_success_total", &extra, count as f64);
    }
    for (name, help, histogram) in [
        ("vllm:request_queue_time_seconds", "From arrival to joining the batch.", &c.queued),
        (
            "vllm:request_prefill_time_seconds",
            "From joining the batch to the first token.",
            &c.prefill,
        ),
        ("vllm:time_to_first_token_seconds", "From arrival to the first token.", &c.first_token),
        ("vllm:request_decode_time_seconds", "From the first token to the end.", &c.decode),
        (
            "vllm:request_time_per_output_token_seconds",
            "Per token after the first, by request.",
            &c.per_token,
        ),
        ("vllm:e2e_request_latency_seconds", "From arrival to the end.", &c.whole),
        ("vllm:request_prompt_tokens", "Tokens of a request's prompt.", &c.prompt_length),
        ("vllm:request_generation_tokens", "Tokens that a request generated.", &c.answer_length),
    ] {
        page.histogram(name, help, histogram);
    }
    page.text
}

/// What a model that reads counted.
pub(crate) fn render_reading(counters: &ReadingCounters, model: &str) -> String {
    let mut page = Page::of(model);
    let now = |count: &AtomicUsize| count.load(Ordering::Relaxed) as f64;
    let total = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    let c = counters;
    page.one("gauge", "vllm:num_requests_running", "Requests that compute.", now(&c.running));
    page.one("gauge", "vllm:num_requests_waiting", "Requests not begun.", now(&c.waiting));
    page.one("counter", "vllm:prompt_tokens_total", "Tokens read.", total(&c.prompt_tokens));
    let help = "Requests refused because too many waited.";
    page.one("counter", "pelton_engine_rejected_total", help, total(&c.rejected));
    page.header("counter", "vllm:request_success_total", "Requests by the way they ended.");
    page.sample("vllm:request_success_total", "finished_reason=\"stop\"", total(&c.finished));
    page.text
}

struct Page {
    text: String,
    label: String,
}

impl Page {
    fn of(model: &str) -> Self {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"");
        Self { text: String::new(), label: format!("model_name=\"{model}\"") }
    }

    fn header(&mut self, kind: &str, name: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, extra: &str, value: f64) {
        let separator = if extra.is_empty() { "" } else { "," };
        let _ = writeln!(self.text, "{name}{{{}{separator}{extra}}} {value}", self.label);
    }

    fn one(&mut self, kind: &str, name: &str, help: &str, value: f64) {
        self.header(kind, name, help);
        self.sample(name, "", value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &HistogramSnapshot) {
        self.header("histogram", name, help);
        let bucket = format!("{name}_bucket");
        for &(bound, count) in &histogram.buckets {
            self.sample(&bucket, &format!("le=\"{bound}\""), count as f64);
        }
        self.sample(&bucket, "le=\"+Inf\"", histogram.count as f64);
        self.sample(&format!("{name}_sum"), "", histogram.sum);
        self.sample(&format!("{name}_count"), "", histogram.count as f64);
    }
}
