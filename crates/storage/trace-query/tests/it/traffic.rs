//! Traffic of two projects with some feedback, and the three places where it can lie.

use pelton_context::ManualClock;
use pelton_ids::{FeedbackId, InferenceId, Micros, ProjectId, ReleaseId};
use pelton_trace_query::TraceEngine;
use pelton_trace_store::{
    FeedbackRecord, MemoryCatalog, Payload, Status, StoreOptions, TraceRecord, TraceStore,
    TraceSummary,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;

/// 2026-01-01T00:00:00Z.
pub const START: Micros = Micros(1_767_225_600_000_000);

pub const fn project(number: u128) -> ProjectId {
    ProjectId::from_u128(number)
}

/// All that was ever recorded.
#[derive(Clone)]
pub struct Traffic {
    pub records: Vec<TraceRecord>,
    pub feedback: Vec<FeedbackRecord>,
}

/// A small generator: the next number below `below`.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

impl Traffic {
    /// `count` calls over about six hours, arriving out of order, several in the same microsecond.
    pub fn generate(seed: u64, count: u64) -> Self {
        let mut state = seed;
        let mut traffic = Self { records: Vec::new(), feedback: Vec::new() };
        for number in 0..count {
            let record = record(&mut state, number);
            for _ in 0..[0, 0, 0, 1, 2][usize::try_from(draw(&mut state, 5)).unwrap()] {
                let judgment = judgment(&mut state, &record, traffic.feedback.len());
                traffic.feedback.push(judgment);
            }
            traffic.records.push(record);
        }
        traffic
    }
}

fn record(state: &mut u64, number: u64) -> TraceRecord {
    let second = draw(state, 21_600);
    let started_at = START.plus(i64::try_from(second).unwrap() * 1_000_000);
    let millis = started_at.0.unsigned_abs() / 1_000;
    let release = draw(state, 3);
    let status = Status::ALL[usize::try_from(draw(state, 4)).unwrap()];
    let words = ["invoice", "Rechnung", "FACTURE é", "reçu", "bill 50%_off"];
    let word = words[usize::try_from(draw(state, 5)).unwrap()];
    let mut tags = BTreeMap::new();
    if draw(state, 2) == 0 {
        tags.insert(
            "tier".to_owned(),
            ["gold", "silver \"S\""][usize::try_from(draw(state, 2)).unwrap()].to_owned(),
        );
    }
    if draw(state, 3) == 0 {
        tags.insert("odd, key".to_owned(), "ñ\n".to_owned());
    }
    let input = format!("{} where is my {word}? {number}", "pad ".repeat(80));
    let output = format!("{word} {} is here", draw(state, 50));
    TraceRecord {
        summary: TraceSummary {
            id: InferenceId::from_u128((u128::from(millis) << 80) | u128::from(number)),
            trace_id: (draw(state, 2) == 0)
                .then(|| pelton_ids::TraceId::from_u128(u128::from(number))),
            project: project(1 + u128::from(draw(state, 4) / 3)),
            started_at,
            endpoint: ["support", "search"][usize::try_from(draw(state, 2)).unwrap()].to_owned(),
            release_id: (release > 0).then(|| ReleaseId::from_u128(u128::from(release))),
            release_name: (release > 0).then(|| format!("support@{release}")),
            model: ["tiny", "large"][usize::try_from(draw(state, 2)).unwrap()].to_owned(),
            provider: "engine".into(),
            status,
            error_code: status.is_failure().then(|| "upstream_timeout".to_owned()),
            streamed: draw(state, 2) == 0,
            latency_us: i64::try_from(draw(state, 2_000_000)).unwrap(),
            ttft_us: (draw(state, 2) == 0).then(|| i64::try_from(draw(state, 1_000)).unwrap()),
            prompt_tokens: Some(i64::try_from(draw(state, 500)).unwrap()),
            completion_tokens: (draw(state, 5) > 0)
                .then(|| i64::try_from(draw(state, 90)).unwrap()),
            cost_nanousd: (draw(state, 3) > 0).then(|| i64::try_from(draw(state, 9_000)).unwrap()),
            config_hash: Some("c1".into()),
            price_version: None,
            unit: Some(format!("user-{}", draw(state, 7))),
            tags,
            preview_input: input.chars().take(256).collect(),
            preview_output: output.chars().take(256).collect(),
        },
        payload: Payload {
            request: format!(r#"{{"n":{number}}}"#).into_bytes(),
            response: (draw(state, 2) == 0).then(|| b"{}".to_vec()),
            route: "{}".into(),
            input: Some(input),
            output,
        },
    }
}

fn judgment(state: &mut u64, on: &TraceRecord, number: usize) -> FeedbackRecord {
    let text = |wanted: bool| wanted.then(|| format!("text {number}"));
    FeedbackRecord {
        id: FeedbackId::from_u128(number as u128),
        inference_id: on.summary.id,
        project: on.summary.project,
        at: on.summary.started_at.plus(i64::try_from(draw(state, 90_000_000)).unwrap()),
        release_id: on.summary.release_id,
        // Sums of these are exact in any order.
        score: [None, Some(0.0), Some(0.25), Some(0.5), Some(1.0)]
            [usize::try_from(draw(state, 5)).unwrap()],
        label: text(draw(state, 3) == 0),
        correction: text(draw(state, 2) == 0),
        comment: None,
        source: "human".into(),
        by: "key:desk".into(),
    }
}

/// Where the traffic lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    Hot,
    Sealed,
    Mixed,
}

/// A store that holds the traffic.
pub struct Stored {
    pub engine: TraceEngine,
    pub store: Arc<TraceStore>,
    _folder: TempDir,
}

pub async fn stored(traffic: &Traffic, place: Place) -> Stored {
    let folder = tempfile::Builder::new().prefix("traces [a]*% ").tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let catalog = Arc::new(MemoryCatalog::default());
    let options = StoreOptions::default();
    let store = TraceStore::open(folder.path(), catalog, clock, options).await.unwrap();
    let writer = store.writer();
    let pieces = if place == Place::Hot { 1 } else { 4 };
    for piece in 0..pieces {
        for record in traffic.records.iter().skip(piece).step_by(pieces) {
            assert!(writer.record(record.clone()));
        }
        // Feedback often lands in another piece than its inference.
        for record in traffic.feedback.iter().skip(piece).step_by(pieces) {
            assert!(writer.feedback(record.clone()));
        }
        writer.flush().await.unwrap();
        if place == Place::Sealed || (place == Place::Mixed && piece + 1 < pieces) {
            store.rotate_and_seal().await.unwrap();
        }
    }
    let view = store.view();
    let expected = match place {
        Place::Hot => (1, 0),
        Place::Sealed => (0, 4),
        Place::Mixed => (1, 3),
    };
    assert_eq!((view.segments.len(), view.parts.len()), expected, "{place:?}");
    Stored { engine: TraceEngine::new(Arc::clone(&store)), store, _folder: folder }
}

pub const PLACES: [Place; 3] = [Place::Hot, Place::Sealed, Place::Mixed];
