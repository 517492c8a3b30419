//! One attempt upstream: until the whole answer, or until the first content of a stream.

use crate::failure::{Failure, retry_after};
use crate::limits::Limits;
use crate::snapshot::Target;
use crate::watch_stream::{Sight, StreamWatch};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use pelton_egress::{Egress, Inbound, Outbound};
use pelton_llm_types::{Answer, RequestKind, SseReader};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

const MAX_ERROR_BYTES: usize = 64 << 10;

/// A stream that has shown its first content.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) inbound: Inbound,
    pub(crate) reader: SseReader,
    /// Bytes for the caller, up to and including the first content.
    pub(crate) ready: Vec<u8>,
}

/// The JSON of an answer, and what it says.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) answer: Answer,
}

/// Asks for a whole answer.
pub(crate) async fn unary(
    egress: &Egress,
    target: &Target,
    kind: RequestKind,
    body: Bytes,
    limits: &Limits,
    deadline: Instant,
) -> Result<Whole, Failure> {
    let exchange = async {
        let inbound = send(egress, target, kind, body, "application/json").await?;
        let bytes = inbound.read(limits.max_answer_bytes).await.map_err(Failure::Egress)?;
        let answer = read(kind, &bytes)?;
        Ok(Whole { bytes, answer })
    };
    let late = Failure::TimedOut { what: "answer", limit: limits.total, whole_call: true };
    timeout_at(deadline, exchange).await.unwrap_or(Err(late))
}

/// An answer in a shape that is not known in full is passed on all the same, if it is one at all.
fn read(kind: RequestKind, bytes: &Bytes) -> Result<Answer, Failure> {
    let nonsense =
        |why: String| Failure::Nonsense(format!("its answer is no {}: {why}", kind.answer_name()));
    let mut refused = None;
    if kind.generates() {
        match serde_json::from_slice(bytes) {
            Ok(answer) => return Ok(answer),
            Err(error) => refused = Some(error),
        }
    }
    let outline = serde_json::from_slice::<Outline>(bytes)
        .map_err(|error| nonsense(refused.as_ref().unwrap_or(&error).to_string()))?;
    let list = match kind.answer_list() {
        "choices" => outline.choices,
        "data" => outline.data,
        _ => outline.results,
    };
    if list.is_none() {
        let missing = || format!("it has no `{}`", kind.answer_list());
        return Err(nonsense(refused.map_or_else(missing, |error| error.to_string())));
    }
    let usage = outline.usage.and_then(|usage| serde_json::from_value(usage).ok());
    Ok(Answer { usage, ..Answer::default() })
}

/// What every answer has that can be passed on. Vectors are not read: they are many.
#[derive(Deserialize)]
struct Outline {
    choices: Option<Vec<IgnoredAny>>,
    data: Option<Vec<IgnoredAny>>,
    results: Option<Vec<IgnoredAny>>,
    usage: Option<Value>,
}

/// Asks for a stream and waits for its first content.
pub(crate) async fn streamed(
    egress: &Egress,
    target: &Target,
    kind: RequestKind,
    body: Bytes,
    limits: &Limits,
    deadline: Instant,
    hide_usage: bool,
) -> Result<(Begun, StreamWatch), Failure> {
    let first_token = Instant::now() + limits.first_token;
    let exchange = async {
        let inbound = send(egress, target, kind, body, "text/event-stream").await?;
        let sent = inbound.headers().get(CONTENT_TYPE).and_then(|sent| sent.to_str().ok());
        if !sent.is_some_and(|sent| sent.starts_with("text/event-stream")) {
            let sent = sent.unwrap_or("nothing").to_owned();
            return Err(Failure::Nonsense(format!("it was asked for a stream and sent {sent}")));
        }
        first_content(inbound, limits, hide_usage).await
    };
    match timeout_at(deadline.min(first_token), exchange).await {
        Ok(outcome) => outcome,
        Err(_) if deadline < first_token => {
            Err(Failure::TimedOut { what: "first token", limit: limits.total, whole_call: true })
        }
        Err(_) => {
            let limit = limits.first_token;
            Err(Failure::TimedOut { what: "first token", limit, whole_call: false })
        }
    }
}

async fn first_content(
    mut inbound: Inbound,
    limits: &Limits,
    hide_usage: bool,
) -> Result<(Begun, StreamWatch), Failure> {
    let mut reader = SseReader::new(limits.max_event_bytes);
    let mut watch = StreamWatch::new(limits.max_capture_bytes, hide_usage);
    let mut ready = Vec::new();
    while let Some(bytes) = inbound.next().await.map_err(Failure::Egress)? {
        reader.push(&bytes);
        while let Some(frame) =
            reader.next_frame().map_err(|error| Failure::Nonsense(error.to_string()))?
        {
            match watch.see(&frame) {
                Sight::Preamble => ready.extend(frame.raw),
                Sight::Hidden => {}
                Sight::Content | Sight::Done => {
                    ready.extend(frame.raw);
                    return Ok((Begun { inbound, reader, ready }, watch));
                }
                Sight::Error(message) => return Err(Failure::Nonsense(message)),
            }
        }
    }
    Err(Failure::Nonsense("its stream ended before the first token".into()))
}

/// Sends the body; an error status is a failure.
async fn send(
    egress: &Egress,
    target: &Target,
    kind: RequestKind,
    body: Bytes,
    accept: &'static str,
) -> Result<Inbound, Failure> {
    let base = target.base_url.as_deref().ok_or(Failure::NotUp)?;
    let url = format!("{}/{}", base.trim_end_matches('/'), kind.path());
    let headers = headers(target, accept)?;
    let request = Outbound { method: Method::POST, url: &url, headers, body, reach: target.reach };
    let inbound = egress.send(request).await.map_err(Failure::Egress)?;
    let status = inbound.status();
    if status.is_success() {
        return Ok(inbound);
    }
    let retry_after = retry_after(inbound.headers());
    let body = inbound.read(MAX_ERROR_BYTES).await.unwrap_or_default();
    Err(Failure::Status { status, body, retry_after })
}

fn headers(target: &Target, accept: &'static str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if let Some(key) = &target.api_key {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
            .map_err(|_| Failure::Nonsense("its API key cannot be sent in a header".into()))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}
