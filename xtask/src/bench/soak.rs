//! Mixed load on the engine for half an hour, in a process of its own.

use super::Check;
use super::programs::{example, object};
use anyhow::Context as _;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const MINUTES: u32 = 30;

pub fn run(root: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut soak = Command::new(example(root, "soak")?);
    soak.arg(root.join("models/pelton-tiny")).args([MINUTES.to_string(), threads.to_string()]);
    // A stuck request ends it with an error.
    let found = object(&mut soak, "the soak")?;
    let number = |name: &str| found[name].as_f64().with_context(|| format!("there is no {name}"));
    let growth = number("rss_second_half_mb")? / number("rss_first_half_mb")? - 1.0;
    let left = number("running_after")? + number("waiting_after")?;
    let checks = vec![
        Check::at_most("soak_memory_growth", growth, "share", 0.05),
        Check::at_most("soak_left_over", left, "", 0.0),
        Check::reported("soak_finished", number("finished")?, ""),
        Check::reported("soak_cancelled", number("cancelled")?, ""),
        Check::reported("soak_preemptions", number("preemptions")?, ""),
    ];
    Ok((checks, found))
}
