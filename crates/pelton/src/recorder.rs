//! From the gateway's record of a call to the trace store's.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pelton_gateway::{CallRecord, Status as CallStatus};
use pelton_trace_store::{Payload, Status, TraceRecord, TraceSummary, WriteError, Writer};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Records on their way to the disk at once.
const MOST_ON_THE_WAY: usize = 2_048;
/// How long to wait before writing anew what the disk refused.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes every call's record until the gateway is gone. A disk that is full is waited for: the
/// gateway reserves room here before it admits a call, so it refuses new calls when there is none.
pub async fn record_calls(mut calls: Receiver<CallRecord>, writer: Writer) {
    let mut on_the_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            call = calls.recv(), if on_the_way.len() < MOST_ON_THE_WAY => match call {
                Some(call) => on_the_way.push(write(&writer, record(call))),
                None => break,
            },
            Some(()) = on_the_way.next() => {}
        }
    }
    while on_the_way.next().await.is_some() {}
}

/// Writes one record, however long the disk takes.
async fn write(writer: &Writer, mut record: TraceRecord) {
    let id = record.summary.id;
    loop {
        match writer.record_durable(record.clone()).await {
            Ok(()) => return,
            Err(error @ WriteError::TooLarge { .. }) => {
                // What was asked and answered does not fit; that it was, and what it cost, does.
                tracing::warn!(%id, %error, "a call is recorded without its bytes");
                record.payload = Payload { route: record.payload.route, ..Payload::default() };
            }
            Err(WriteError::Closed) => {
                tracing::error!(%id, "a call was not recorded: the trace store is shut down");
                return;
            }
            Err(error) => {
                tracing::error!(%id, %error, "a call's record waits for the disk");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn record(call: CallRecord) -> TraceRecord {
    let (release_id, release_name) = match call.release {
        Some((id, name)) => (Some(id), Some(name)),
        None => (None, None),
    };
    let route = serde_json::to_string(&call.route).unwrap_or_else(|_| "{}".into());
    let (prompt_tokens, completion_tokens) = match &call.usage {
        Some(usage) => (Some(usage.prompt), Some(usage.completion)),
        None => (None, None),
    };
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    TraceRecord {
        summary: TraceSummary {
            id: call.inference_id,
            trace_id: Some(call.trace_id),
            project: call.project,
            started_at: call.started_at,
            endpoint: call.endpoint,
            release_id,
            release_name,
            model: call.model,
            provider: call.provider,
            status: match call.status {
                CallStatus::Ok => Status::Ok,
                CallStatus::Error => Status::Error,
                CallStatus::Cancelled => Status::Cancelled,
                CallStatus::Partial => Status::Partial,
            },
            error_code: call.error_code,
            streamed: call.streamed,
            latency_us: call.latency_us,
            ttft_us: call.ttft_us,
            prompt_tokens: prompt_tokens.map(signed),
            completion_tokens: completion_tokens.map(signed),
            cost_nanousd: call.cost_nanousd,
            config_hash: Some(call.config_hash),
            price_version: None,
            unit: call.unit,
            tags: call.tags.into_iter().collect(),
            preview_input: call.input_preview,
            preview_output: call.output_preview,
        },
        payload: Payload {
            request: call.request.to_vec(),
            response: call.response.map(|bytes| bytes.to_vec()),
            route,
            input: None,
            output: call.output,
        },
    }
}
