//! Removes artifacts that nothing refers to any more.

use async_trait::async_trait;
use pelton_artifacts::{Artifacts, ReferenceSource};
use pelton_context::{Clock, OpContext};
use pelton_ids::Digest;
use pelton_metadata::Store;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often unneeded blobs are looked for; the first time this long after the start.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// How long a blob may wait for the record that refers to it: an upload, or a job that runs for hours.
const GRACE: Duration = Duration::from_secs(24 * 3_600);

/// The references of all projects.
struct Recorded {
    metadata: Store,
    context: OpContext,
}

#[async_trait]
impl ReferenceSource for Recorded {
    async fn referenced(
        &self,
    ) -> Result<BTreeSet<Digest>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.metadata.artifact_ref_list_all(&self.context).await?)
    }
}

/// Collects for good.
pub async fn keep_collected(
    artifacts: Artifacts,
    metadata: Store,
    context: OpContext,
    clock: Arc<dyn Clock>,
) {
    let references = Recorded { metadata, context };
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer.tick().await;
    loop {
        timer.tick().await;
        match artifacts.collect_garbage(&references, clock.now(), GRACE).await {
            Ok(report) if report.removed + report.removed_incoming == 0 => {}
            Ok(report) => tracing::info!(
                blobs = report.removed,
                bytes = report.removed_bytes,
                unfinished = report.removed_incoming,
                "removed artifacts that nothing refers to"
            ),
            Err(error) => tracing::error!(%error, "unneeded artifacts cannot be removed"),
        }
    }
}
