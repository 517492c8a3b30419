//! Answers under the schemas of the JSON Schema test suite.

use super::Check;
use super::programs::{object, pelton, python};
use super::server::Server;
use anyhow::Context as _;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Whether every answer follows its schema, and what that costs a token.
pub fn run(root: &Path, data: &Path) -> anyhow::Result<(Vec<Check>, Value)> {
    let suite = data.join("json_schema");
    if !suite.is_dir() {
        eprintln!("{} is not there: constrained answers are left out", suite.display());
        return Ok((Vec::new(), Value::Null));
    }
    let python = python(
        &root.join(".build/bench-constrained"),
        "jsonschema",
        "installing jsonschema",
        &[&["jsonschema"]],
    )?;
    let server = Server::start(&pelton(root)?, &[])?;
    server.wait_for_engine()?;
    let mut ask = Command::new(python);
    ask.arg(root.join("bench/constrained.py")).args([&server.url, "pelton-tiny"]).arg(&suite);
    let found = object(&mut ask, "asking for constrained answers")?;
    let number = |name: &str| found[name].as_f64().with_context(|| format!("{name} is missing"));
    let checks = vec![
        Check::at_least("schema_valid_share", number("valid_share")?, "share", 1.0),
        Check::reported("constrained_overhead_us", number("overhead_us")?, "us"),
    ];
    Ok((checks, found))
}
