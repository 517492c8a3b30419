//! One full turn of the wheel: the telco desk, then banking77 beside a TF-IDF reference.

use super::Check;
use super::programs::{pelton, python};
use super::server::Server;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a check should come to.
enum Target {
    AtLeast(f64),
    AtMost(f64),
    Reported,
}

/// Name, unit and target of each check, in the order in which they are printed.
const CHECKS: [(&str, &str, Target); 11] = [
    ("telco_base_accuracy", "share", Target::AtLeast(0.4)),
    ("telco_tuned_accuracy_50", "share", Target::Reported),
    ("telco_tuned_accuracy_500", "share", Target::Reported),
    ("telco_p_value_500", "p", Target::AtMost(0.01)),
    ("regression_drop", "share", Target::AtMost(0.03)),
    ("shuffled_control_gain", "share", Target::AtMost(0.0)),
    ("turn_minutes", "min", Target::AtMost(15.0)),
    ("banking77_base_accuracy", "share", Target::Reported),
    ("banking77_tuned_accuracy", "share", Target::Reported),
    ("banking77_tfidf_accuracy", "share", Target::Reported),
    ("banking77_train_minutes", "min", Target::Reported),
];

pub fn run(root: &Path, data: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let binary = pelton(root)?;
    let banking77 = data.join("banking77");
    let tfidf = if banking77.is_dir() { Some(tfidf(root, &banking77)?) } else { None };
    let server = Server::start(&binary, &[])?;
    server.wait_for_engine()?;
    let out = root.join(".build/bench-turn");
    let mut found = turn(&binary, &server, &out.join("telco"), &[])?;
    let mut raw = json!({ "telco": report(&out.join("telco"))? });
    if let Some(accuracy) = tfidf {
        let folder = out.join("banking77");
        let (data, accuracy) = (banking77.display().to_string(), accuracy.to_string());
        let arguments = ["--data", &data, "--tfidf", &accuracy];
        found.extend(turn(&binary, &server, &folder, &arguments)?);
        raw["banking77"] = report(&folder)?;
    } else {
        eprintln!("{} is not there: the turn on banking77 is left out", banking77.display());
    }
    let checks = CHECKS
        .iter()
        .filter_map(|(name, unit, target)| {
            let value = *found.get(*name)?;
            Some(match target {
                Target::AtLeast(limit) => Check::at_least(*name, value, unit, *limit),
                Target::AtMost(limit) => Check::at_most(*name, value, unit, *limit),
                Target::Reported => Check::reported(*name, value, unit),
            })
        })
        .collect();
    Ok((checks, raw))
}

/// Runs one turn and answers its checks. A turn that ends without a promotion is a finding, not a
/// failure of the benchmark.
fn turn(
    binary: &Path,
    server: &Server,
    out: &Path,
    arguments: &[&str],
) -> anyhow::Result<BTreeMap<String, f64>> {
    let _ = std::fs::remove_dir_all(out);
    let status = Command::new(binary)
        .args(["turn", "--url", &server.url, "--out"])
        .arg(out)
        .args(arguments)
        .stdout(Stdio::null())
        .status()?;
    let checks = std::fs::read_to_string(out.join("checks.json"))
        .with_context(|| format!("the turn ended with {status} and left no report"))?;
    Ok(serde_json::from_str(&checks)?)
}

fn report(folder: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(folder.join("report.json"))?)?)
}

/// The reference's accuracy, computed by scikit-learn in a virtual environment under `.build`.
fn tfidf(root: &Path, data: &Path) -> anyhow::Result<f64> {
    let folder = root.join(".build/bench-python");
    let note = "installing scikit-learn";
    let python = python(&folder, "sklearn", note, &[&["scikit-learn"]])?;
    let output = Command::new(&python).arg(root.join("bench/tfidf.py")).arg(data).output()?;
    anyhow::ensure!(
        output.status.success(),
        "the TF-IDF reference failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
