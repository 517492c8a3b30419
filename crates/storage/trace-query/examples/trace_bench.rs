//! Measures the trace store: `trace_bench [rows] [folder]`. Prints one JSON object. Payloads are
//! about 1 KB; the last tenth of the rows stays hot.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use futures_util::TryStreamExt as _;
use pelton_context::{Clock as _, SystemClock};
use pelton_ids::{InferenceId, Micros, ProjectId, ReleaseId};
use pelton_trace_query::TraceEngine;
use pelton_trace_store::{
    Aggregate, AggregateQuery, Expr, Field, GroupKey, Payload, SqliteCatalog, Status, StoreOptions,
    TimeUnit, TraceQuery, TraceRecord, TraceStore, TraceSummary,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const DAY: i64 = 86_400_000_000;

fn record(number: u64, rows: u64, start: Micros) -> TraceRecord {
    let at =
        start.plus(DAY / i64::try_from(rows).unwrap_or(1) * i64::try_from(number).unwrap_or(0));
    let millis = u128::from(at.0.unsigned_abs() / 1_000);
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let words =
        format!("{mixed:x} invoice {} period {} amount {} ", mixed >> 7, number % 12, mixed >> 40);
    let small = |below: u64| i64::try_from((mixed >> 20) % below).unwrap_or(0);
    TraceRecord {
        summary: TraceSummary {
            id: InferenceId::from_u128((millis << 80) | u128::from(mixed)),
            trace_id: None,
            project: ProjectId::from_u128(1),
            started_at: at,
            endpoint: ["support", "search", "desk"][usize::try_from(number % 3).unwrap_or(0)]
                .into(),
            release_id: Some(ReleaseId::from_u128(u128::from(number % 2))),
            release_name: Some(format!("support@{}", number % 2)),
            model: "pelton-tiny".into(),
            provider: "engine".into(),
            status: if mixed.is_multiple_of(50) { Status::Error } else { Status::Ok },
            error_code: None,
            streamed: true,
            latency_us: 10_000 + small(900_000),
            ttft_us: Some(1_000 + small(90_000)),
            prompt_tokens: Some(small(900)),
            completion_tokens: Some(small(200)),
            cost_nanousd: Some(small(1_000_000)),
            config_hash: Some("0123456789abcdef".into()),
            price_version: None,
            unit: Some(format!("user-{}", mixed % 10_000)),
            tags: BTreeMap::from([("tier".into(), "gold".into())]),
            preview_input: String::new(),
            preview_output: String::new(),
        },
        payload: Payload {
            request: words.repeat(12).into_bytes(),
            response: Some(words.repeat(3).into_bytes()),
            route: r#"{"reason":"weight","attempts":[]}"#.into(),
            input: Some(words.repeat(4)),
            output: words,
        },
    }
}

/// Milliseconds of the fastest of five.
async fn best<T, E>(mut run: impl AsyncFnMut() -> Result<T, E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        run().await?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok((best * 100.0).round() / 100.0)
}

async fn measure(rows: u64, folder: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    let catalog = Arc::new(SqliteCatalog::open(&folder.join("catalog.db")).await?);
    let clock = Arc::new(SystemClock);
    let start = Micros(clock.now().0 - DAY);
    let store = TraceStore::open(folder, catalog, clock, StoreOptions::default()).await?;
    let writer = store.writer();
    let project = ProjectId::from_u128(1);

    let began = Instant::now();
    let mut sealing = 0.0;
    for number in 0..rows {
        let record = record(number, rows, start);
        while !writer.record(record.clone()) {
            writer.flush().await?;
        }
        if number % 10_000 == 0 || number == rows / 10 * 9 {
            writer.flush().await?;
            let began = Instant::now();
            if number == rows / 10 * 9 {
                store.rotate_and_seal().await?;
            }
            store.seal_due().await?;
            sealing += began.elapsed().as_secs_f64();
        }
    }
    writer.flush().await?;
    let ingest = began.elapsed().as_secs_f64() - sealing;

    let mut waits = Vec::new();
    for number in rows..rows + 200 {
        let began = Instant::now();
        writer.record_durable(record(number, rows, start)).await?;
        waits.push(began.elapsed().as_secs_f64() * 1e3);
    }
    waits.sort_by(f64::total_cmp);

    let engine = TraceEngine::new(Arc::clone(&store));
    let newest = TraceQuery::newest(project, 50);
    let errors = newest.clone().filtered(Expr::eq(Field::Status, "error"));
    let rare = newest.clone().filtered(Expr::text("no such words"));
    let by = |group_by, filter| AggregateQuery {
        project,
        since: None,
        until: None,
        filter,
        group_by,
        aggregates: vec![
            Aggregate::Count,
            Aggregate::Errors,
            Aggregate::Sum(Field::CostNanousd),
            Aggregate::Quantile { field: Field::LatencyUs, q: 0.95 },
        ],
        limit: 10_000,
    };
    let by_hour = by(vec![GroupKey::Field(Field::Model), GroupKey::Time(TimeUnit::Hour)], None);
    let by_tag = by(vec![GroupKey::Field(Field::Tag("tier".into()))], None);
    let old = record(rows / 3, rows, start).summary.id;
    let recent = AggregateQuery { since: Some(start.plus(DAY - DAY / 24)), ..by_hour.clone() };
    let cold = Instant::now();
    engine.aggregate(&by_hour).await?;
    let cold = cold.elapsed().as_secs_f64() * 1e3;
    let stats_first = Instant::now();
    store.release_stats(project, start).await?;
    let stats_first = stats_first.elapsed().as_secs_f64() * 1e3;
    let scan = Instant::now();
    let scanned: Vec<_> =
        engine.scan(TraceQuery { limit: 20_000, ..newest.clone() }).try_collect().await?;
    let scan = scanned.len() as f64 / scan.elapsed().as_secs_f64();
    let bytes: i64 = store.view().parts.iter().map(|part| part.part().bytes).sum();
    Ok(serde_json::json!({
        "rows": rows,
        "parts": store.view().parts.len(),
        "part_mib": bytes / (1 << 20),
        "ingest_rows_per_s": (rows as f64 / ingest).round(),
        "seal_s": sealing,
        "durable_write_ms_p50": waits[100],
        "durable_write_ms_p99": waits[198],
        "first_aggregate_ms": cold,
        "list_newest_50_ms": best(async || engine.list(&newest).await).await?,
        "list_errors_50_ms": best(async || engine.list(&errors).await).await?,
        "list_text_no_match_ms": best(async || engine.list(&rare).await).await?,
        "aggregate_model_hour_ms": best(async || engine.aggregate(&by_hour).await).await?,
        "aggregate_tag_ms": best(async || engine.aggregate(&by_tag).await).await?,
        "aggregate_last_hour_ms": best(async || engine.aggregate(&recent).await).await?,
        "get_sealed_ms": best(async || engine.get(project, old).await).await?,
        "release_stats_first_ms": stats_first,
        "release_stats_poll_ms": best(async || store.release_stats(project, start).await).await?,
        "scan_rows_per_s": scan.round(),
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(100_000), |rows| rows.parse())?;
    let figures = match arguments.next() {
        Some(folder) => measure(rows, Path::new(&folder)).await?,
        None => measure(rows, tempfile::tempdir()?.path()).await?,
    };
    println!("{figures:#}");
    Ok(())
}
