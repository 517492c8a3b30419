//! Writes the files that are made from the code: each is the output of the binary itself.

use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// File, and the arguments of `pelton` that print it.
const GENERATED: [(&str, &[&str]); 3] = [
    ("docs/configuration.md", &["config", "reference"]),
    ("docs/cli.md", &["config", "cli-reference"]),
    ("docs/openapi.json", &["config", "openapi"]),
];

pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for (file, arguments) in GENERATED {
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["run", "--quiet", "--release", "--package", "pelton", "--"])
            .args(arguments)
            .output()
            .context("cargo starts")?;
        anyhow::ensure!(
            output.status.success(),
            "`pelton {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        let path = root.join(file);
        if fs::read(&path).ok().as_deref() == Some(&output.stdout) {
            continue;
        }
        stale.push(file);
        if !check {
            fs::write(&path, &output.stdout)?;
            println!("wrote {file}");
        }
    }
    anyhow::ensure!(
        !check || stale.is_empty(),
        "{} no longer match the code: run `cargo xtask gen`",
        stale.join(", ")
    );
    Ok(())
}
