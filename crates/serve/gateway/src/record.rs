//! Exactly one record of every call, however it ends.
//!
//! Room for the record is reserved before the call is admitted, so that writing it neither waits
//! nor fails; and the open record closes itself as cancelled when it is dropped.

use crate::account::{self, Price};
use crate::meter::Meter;
use crate::receive::{Call, Received};
use crate::refusal::GatewayError;
use crate::route::Route;
use crate::snapshot::{Snapshot, Target};
use crate::watch_stream::StreamWatch;
use bytes::Bytes;
use pelton_ids::{InferenceId, Micros, ProjectId, ReleaseId, RequestId, TraceId};
use pelton_llm_types::{Answer, RequestKind, TokenUsage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Takes records. Neither method waits.
pub trait Recorder: Send + Sync {
    /// Reserves room for a record; none when the store is behind.
    fn reserve(&self) -> Option<Box<dyn Slot>>;
}

/// Reserved room for a record.
pub trait Slot: Send {
    /// Fills it.
    fn put(self: Box<Self>, record: CallRecord);
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The answer was given whole.
    Ok,
    /// No answer was given.
    Error,
    /// The caller went away.
    Cancelled,
    /// The answer broke off after its first content.
    Partial,
}

impl Status {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Partial => "partial",
        }
    }
}

/// Why a call went where it went, and what happened there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteTrace {
    /// Why this release.
    pub reason: String,
    /// The attempts in order.
    pub attempts: Vec<Attempt>,
}

/// One attempt upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which target.
    pub target: String,
    /// Its status, if it answered.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// Time until it failed, or until its answer began.
    pub latency_ms: f64,
}

/// A call as served.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// Names the call.
    pub inference_id: InferenceId,
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// The HTTP request.
    pub request_id: RequestId,
    /// The tenant.
    pub project: ProjectId,
    /// Who called.
    pub caller: String,
    /// When the call came in.
    pub started_at: Micros,
    /// The endpoint or model that was asked for; empty if the body could not be read.
    pub endpoint: String,
    /// What answered; none for a direct call of a model.
    pub release: Option<(ReleaseId, String)>,
    /// The model as the upstream was asked for it; empty if none was asked.
    pub model: String,
    /// The target that was asked last; empty if none was.
    pub provider: String,
    /// How the call ended.
    pub status: Status,
    /// For programs: what went wrong.
    pub error_code: Option<String>,
    /// For people: what went wrong.
    pub error_message: Option<String>,
    /// The HTTP status that the caller got; 499 if it went away before there was one.
    pub http_status: u16,
    /// Whether the answer was to be streamed.
    pub streamed: bool,
    /// Microseconds from the call to its end.
    pub latency_us: i64,
    /// Microseconds from the call to the first content of its stream.
    pub ttft_us: Option<i64>,
    /// Tokens by kind; none where the upstream did not say.
    pub usage: Option<TokenUsage>,
    /// The cost; none where tokens or prices are unknown.
    pub cost_nanousd: Option<i64>,
    /// Digest of what was served at the time.
    pub config_hash: String,
    /// Its generation.
    pub generation: i64,
    /// The request's metadata.
    pub tags: Vec<(String, String)>,
    /// The caller's user or session, by which its release sticks.
    pub unit: Option<String>,
    /// Where the call went, and why.
    pub route: RouteTrace,
    /// The body as the caller sent it.
    pub request: Bytes,
    /// The answer as JSON: as it came, or put together from its stream. None for embeddings.
    pub response: Option<Bytes>,
    /// The text of the answer.
    pub output: String,
    /// Whether the record holds less of a stream than the caller got.
    pub output_cut: bool,
    /// The start of the last user message, or of the prompt, input or query: at most 256 characters.
    pub input_preview: String,
    /// The start of the answer, at most 256 characters.
    pub output_preview: String,
}

const PREVIEW_CHARACTERS: usize = 256;

/// A record whose call is under way.
pub(crate) struct OpenRecord {
    slot: Option<Box<dyn Slot>>,
    record: CallRecord,
    /// The endpoint for metrics: a name that exists, or `unknown`.
    label: String,
    kind: RequestKind,
    price: Option<Price>,
    started: Instant,
    meter: Arc<Meter>,
    /// The stream, once it has begun.
    pub(crate) watch: Option<StreamWatch>,
}

impl OpenRecord {
    pub(crate) fn begin(
        slot: Box<dyn Slot>,
        call: &Call,
        snapshot: &Snapshot,
        started: Instant,
        now: Micros,
        meter: Arc<Meter>,
    ) -> Self {
        let Call { kind, context, body, session: _, trace } = call;
        let record = CallRecord {
            inference_id: InferenceId::generate(),
            trace_id: trace.unwrap_or_else(TraceId::generate),
            request_id: context.request,
            project: context.project,
            caller: context.principal.name.clone(),
            started_at: now,
            endpoint: String::new(),
            release: None,
            model: String::new(),
            provider: String::new(),
            status: Status::Cancelled,
            error_code: None,
            error_message: None,
            http_status: 499,
            streamed: false,
            latency_us: 0,
            ttft_us: None,
            usage: None,
            cost_nanousd: None,
            config_hash: snapshot.config_hash.clone(),
            generation: snapshot.generation,
            tags: Vec::new(),
            unit: None,
            route: RouteTrace::default(),
            request: body.clone().unwrap_or_default(),
            response: None,
            output: String::new(),
            output_cut: false,
            input_preview: String::new(),
            output_preview: String::new(),
        };
        let (label, kind) = ("unknown".into(), *kind);
        Self { slot: Some(slot), record, label, kind, price: None, started, meter, watch: None }
    }

    /// The body was read.
    pub(crate) fn received(&mut self, received: &Received, snapshot: &Snapshot) {
        let Received { request, unit } = received;
        let name = &request.model;
        if snapshot.endpoints.contains_key(name) || snapshot.models.contains_key(name) {
            self.label.clone_from(name);
        }
        self.record.endpoint = name.chars().take(200).collect();
        self.record.streamed = request.stream;
        self.record.tags.clone_from(&request.metadata);
        self.record.unit = unit.given().map(Into::into);
        self.record.input_preview = request.input_text(PREVIEW_CHARACTERS);
    }

    pub(crate) const fn inference(&self) -> InferenceId {
        self.record.inference_id
    }

    pub(crate) fn identity(&self) -> (InferenceId, Option<(ReleaseId, String)>) {
        (self.record.inference_id, self.record.release.clone())
    }

    pub(crate) fn routed(&mut self, route: &Route) {
        self.record.release =
            route.release.as_ref().map(|release| (release.id, release.name.clone()));
        self.record.route.reason.clone_from(&route.reason);
    }

    pub(crate) fn asked(&mut self, target: &Target) {
        self.record.model.clone_from(&target.model);
        self.record.provider.clone_from(&target.name);
        self.price = target.price;
    }

    pub(crate) fn attempted(&mut self, attempt: Attempt) {
        self.record.route.attempts.push(attempt);
    }

    /// A stream showed its first content.
    pub(crate) fn begun(&mut self, watch: StreamWatch) {
        self.record.ttft_us = Some(micros(self.started));
        self.record.http_status = 200;
        self.watch = Some(watch);
    }

    /// A unary call was answered.
    pub(crate) fn answered(mut self, bytes: &Bytes, answer: Answer) {
        self.record.http_status = 200;
        // Vectors are large, and can be made again from what was sent.
        self.record.response = (self.kind != RequestKind::Embedding).then(|| bytes.clone());
        self.take(answer);
        self.close(Status::Ok);
    }

    /// A call got no answer.
    pub(crate) fn refused(mut self, error: &GatewayError) {
        self.record.http_status = error.status().as_u16();
        self.fault(error.code(), error.to_string());
        if let GatewayError::Rejected { body, .. } = error {
            self.record.response = Some(body.clone());
        }
        self.close(Status::Error);
    }

    /// A stream ended, well or not.
    pub(crate) fn ended(mut self, status: Status, fault: Option<(&str, String)>) {
        if let Some((code, message)) = fault {
            self.fault(code, message);
        }
        self.close(status);
    }

    fn fault(&mut self, code: &str, message: String) {
        self.record.error_code = Some(code.into());
        self.record.error_message = Some(message);
    }

    fn take(&mut self, answer: Answer) {
        let usage = answer.usage.as_ref().map(TokenUsage::from);
        self.record.usage = usage;
        self.record.cost_nanousd = account::cost(usage, self.price);
        self.record.output_preview = answer.text().chars().take(PREVIEW_CHARACTERS).collect();
        self.record.output = answer.text().to_owned();
    }

    fn close(&mut self, status: Status) {
        let Some(slot) = self.slot.take() else { return };
        if let Some(watch) = self.watch.take() {
            let gathered = watch.into_gathered();
            self.record.output_cut = gathered.cut();
            let answer = gathered.into_answer();
            self.record.response = serde_json::to_vec(&answer).ok().map(Bytes::from);
            self.take(answer);
        }
        self.record.status = status;
        self.record.latency_us = micros(self.started);
        self.meter.recorded(&self.record, &self.label);
        slot.put(self.record.clone());
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.fault("cancelled", "The caller went away.".into());
            self.close(Status::Cancelled);
        }
    }
}

fn micros(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX)
}

/// A recorder that hands records to whoever holds the other end.
#[derive(Debug, Clone)]
pub struct ChannelRecorder(mpsc::Sender<CallRecord>);

/// A recorder with room for `capacity` records, and the end where they come out.
#[must_use]
pub fn channel(capacity: usize) -> (ChannelRecorder, mpsc::Receiver<CallRecord>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (ChannelRecorder(sender), receiver)
}

impl Recorder for ChannelRecorder {
    fn reserve(&self) -> Option<Box<dyn Slot>> {
        let permit = self.0.clone().try_reserve_owned().ok()?;
        Some(Box::new(ChannelSlot(permit)))
    }
}

struct ChannelSlot(mpsc::OwnedPermit<CallRecord>);

impl Slot for ChannelSlot {
    fn put(self: Box<Self>, record: CallRecord) {
        self.0.send(record);
    }
}
