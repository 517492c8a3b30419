//! Records to store, and a store to put them in.

use pelton_context::{Clock, ManualClock};
use pelton_ids::{FeedbackId, InferenceId, Micros, ProjectId, ReleaseId};
use pelton_trace_store::{
    FeedbackRecord, MemoryCatalog, PartCatalog, Payload, Status, StoreOptions, TraceRecord,
    TraceStore, TraceSummary,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
pub const START: Micros = Micros(1_767_225_600_000_000);

pub const fn project(number: u128) -> ProjectId {
    ProjectId::from_u128(number)
}

pub const fn release(number: u128) -> ReleaseId {
    ReleaseId::from_u128(number)
}

/// The id of the `number`th inference: one a second, as UUIDv7 would name it.
pub fn inference(number: u64) -> InferenceId {
    let millis = START.0.unsigned_abs() / 1_000 + number * 1_000;
    InferenceId::from_u128((u128::from(millis) << 80) | u128::from(number))
}

pub fn record(number: u64) -> TraceRecord {
    let status = Status::ALL[usize::try_from(number % 4).unwrap()];
    let wide = i64::try_from(number).unwrap();
    TraceRecord {
        summary: TraceSummary {
            id: inference(number),
            trace_id: None,
            project: project(1),
            started_at: START.plus(wide * 1_000_000),
            endpoint: "support".into(),
            release_id: (!number.is_multiple_of(3)).then(|| release(u128::from(number % 3))),
            release_name: (!number.is_multiple_of(3)).then(|| format!("support-{}", number % 3)),
            model: "pelton-tiny".into(),
            provider: "engine".into(),
            status,
            error_code: status.is_failure().then(|| "upstream_failed".into()),
            streamed: number.is_multiple_of(2),
            latency_us: 1_000 + wide,
            ttft_us: (number.is_multiple_of(2)).then_some(500 + wide),
            prompt_tokens: Some(100),
            completion_tokens: Some(wide),
            cost_nanousd: None,
            config_hash: Some("c1".into()),
            price_version: None,
            unit: Some(format!("user-{}", number % 5)),
            tags: BTreeMap::from([("tier".into(), "gold \"1\"".into())]),
            preview_input: String::new(),
            preview_output: String::new(),
        },
        payload: Payload {
            request: format!(r#"{{"messages":[{{"role":"user","content":"question {number}"}}]}}"#)
                .into_bytes(),
            response: (number.is_multiple_of(4)).then(|| b"{}".to_vec()),
            route: r#"{"reason":"weight"}"#.into(),
            input: None,
            output: format!("answer {number} ñ"),
        },
    }
}

/// What the store gives back for `record`.
pub fn stored(record: TraceRecord) -> TraceRecord {
    let TraceRecord { mut summary, mut payload } = record;
    let input = pelton_trace_store::last_user_text(&payload.request);
    summary.preview_input.clone_from(&input);
    summary.preview_output.clone_from(&payload.output);
    payload.input = Some(input);
    TraceRecord { summary, payload }
}

pub fn feedback(number: u64, on: u64) -> FeedbackRecord {
    FeedbackRecord {
        id: FeedbackId::from_u128(u128::from(number)),
        inference_id: inference(on),
        project: project(1),
        at: START.plus(i64::try_from(number).unwrap() * 1_000_000),
        release_id: record(on).summary.release_id,
        score: Some(0.5),
        label: None,
        correction: Some(format!("correction {number}")),
        comment: None,
        source: "human".into(),
        by: "key:desk".into(),
    }
}

/// A clock that stands at [`START`].
pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(START))
}

pub async fn open(
    folder: &Path,
    catalog: &Arc<MemoryCatalog>,
    options: StoreOptions,
) -> Arc<TraceStore> {
    let catalog: Arc<dyn PartCatalog> = Arc::clone(catalog) as _;
    let clock: Arc<dyn Clock> = clock();
    TraceStore::open(folder, catalog, clock, options).await.unwrap()
}

/// Every number from `numbers` is found once, whole.
pub async fn assert_found(store: &TraceStore, numbers: std::ops::Range<u64>) {
    let view = store.view();
    let mut rows = 0;
    for segment in &view.segments {
        let span = pelton_trace_store::Span { project: project(1), since: None, until: None };
        let batches = segment.batches(&span, &[]).await.unwrap();
        rows += batches.iter().map(|batch| batch.num_rows()).sum::<usize>();
    }
    rows += view.parts.iter().map(|part| usize::try_from(part.part().rows).unwrap()).sum::<usize>();
    assert_eq!(rows, numbers.clone().count(), "rows in all");
    for number in numbers {
        let found = store.find(project(1), inference(number)).await.unwrap().unwrap();
        let expected = stored(record(number));
        assert_eq!(found.summary, expected.summary);
        assert_eq!(found.payload, Some(expected.payload));
    }
}
