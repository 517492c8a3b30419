//! Time from exec to ready, and memory at rest, of a server without an engine.

use super::Check;
use super::programs::pelton;
use super::server::{Server, pause, resident_mib};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const TRIALS: usize = 7;
/// How long a server stands idle before its memory is read.
const REST: Duration = Duration::from_secs(3);

pub fn run(root: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let binary = pelton(root)?;
    let mut starts = Vec::new();
    let mut resident = Vec::new();
    for trial in 0..TRIALS {
        let server = Server::start(&binary, &["engine.enabled=false"])?;
        starts.push(server.ready_after.as_secs_f64() * 1_000.0);
        if trial < 3 {
            pause(REST);
            resident.push(resident_mib(server.id())?);
        }
    }
    let bytes = std::fs::metadata(&binary)?.len();
    let checks = vec![
        Check::at_most("start_ms", median(&starts), "ms", 1_000.0),
        Check::at_most("idle_rss_mb", median(&resident), "MiB", 60.0),
    ];
    let raw = json!({ "start_ms": starts, "idle_rss_mb": resident, "binary_bytes": bytes });
    Ok((checks, raw))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
