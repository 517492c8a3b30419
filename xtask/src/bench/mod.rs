//! Benchmarks: each prints one JSON object with its checks beside the raw figures.

mod adapters;
mod constrained;
mod engine;
mod programs;
mod server;
mod soak;
mod start;
mod tune;
mod turn;

use serde::Serialize;
use serde_json::Value;
use std::path::Path;

#[derive(clap::Args)]
pub struct Arguments {
    /// Which benchmark.
    name: Name,
    /// Print the JSON object alone.
    #[arg(long)]
    json: bool,
    /// Folder with the public data sets.
    #[arg(long, env = "PELTON_SHARED_DATA", default_value = "../shared/data")]
    data: std::path::PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    /// Time from exec to ready and memory at rest of a server without an engine.
    Start,
    /// The engine beside llama.cpp, which is built from source if need be, and its answers under schemas.
    Engine,
    /// Half an hour of mixed load on the engine: nothing stuck, and memory stays flat.
    Soak,
    /// The trainer beside PyTorch with PEFT, which are installed if need be.
    Tune,
    /// One full turn of the wheel on the telco desk and on banking77.
    Turn,
}

/// One claim and whether it holds.
#[derive(Serialize)]
pub struct Check {
    name: String,
    value: f64,
    unit: &'static str,
    /// What the value should be, `<= 60` for example; null where it is only reported.
    target: Option<String>,
    holds: Option<bool>,
}

impl Check {
    /// A value that should not be over `limit`.
    fn at_most(name: impl Into<String>, value: f64, unit: &'static str, limit: f64) -> Self {
        let target = Some(format!("<= {limit}"));
        Self { name: name.into(), value, unit, target, holds: Some(value <= limit) }
    }

    /// A value that should not be under `limit`.
    fn at_least(name: impl Into<String>, value: f64, unit: &'static str, limit: f64) -> Self {
        let target = Some(format!(">= {limit}"));
        Self { name: name.into(), value, unit, target, holds: Some(value >= limit) }
    }

    /// A value that is only reported.
    fn reported(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, target: None, holds: None }
    }
}

#[derive(Serialize)]
struct Outcome {
    bench: &'static str,
    machine: Value,
    checks: Vec<Check>,
    raw: Value,
}

pub fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let (bench, (checks, raw)) = match arguments.name {
        Name::Start => ("start", start::run(root)?),
        Name::Engine => ("engine", engine::run(root, &arguments.data)?),
        Name::Tune => ("tune", tune::run(root)?),
        Name::Soak => ("soak", soak::run(root)?),
        Name::Turn => ("turn", turn::run(root, &arguments.data)?),
    };
    let outcome = Outcome { bench, machine: machine(), checks, raw };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
        return Ok(());
    }
    for check in &outcome.checks {
        let verdict = match check.holds {
            Some(true) => "holds",
            Some(false) => "FALLS SHORT",
            None => "",
        };
        let target = check.target.as_deref().unwrap_or("");
        println!("{:32} {:>12.4} {:6} {target:10} {verdict}", check.name, check.value, check.unit);
    }
    Ok(())
}

/// What the figures were measured on.
fn machine() -> Value {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    serde_json::json!({ "cpu": model, "cores": cores })
}
