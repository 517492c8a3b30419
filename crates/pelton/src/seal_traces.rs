//! Seals hot trace segments into Parquet when they are due, and drops what is past its time.

use pelton_context::Clock;
use pelton_trace_store::TraceStore;
use std::sync::Arc;
use std::time::Duration;

/// How often segments are looked at.
const INTERVAL: Duration = Duration::from_secs(5);
const DAY: i64 = 86_400_000_000;

/// Seals and drops for good. `retention_days` 0 keeps everything.
pub async fn keep_sealed(traces: Arc<TraceStore>, clock: Arc<dyn Clock>, retention_days: u64) {
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = traces.seal_due().await {
            tracing::error!(%error, "traces cannot be sealed; they stay in their hot segments");
        }
        let Ok(days @ 1..) = i64::try_from(retention_days) else { continue };
        let before = clock.now().plus(-days.saturating_mul(DAY));
        match traces.drop_before(before).await {
            Ok(0) => {}
            Ok(parts) => tracing::info!(parts, %before, "dropped traces past their retention"),
            Err(error) => tracing::error!(%error, "traces past their retention cannot be dropped"),
        }
    }
}
