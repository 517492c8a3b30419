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
    // Not through cargo: building this package alone would build its dependencies anew with other
    // features than the workspace has.
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), std::path::PathBuf::from);
    let binary = target.join("release/pelton");
    let mut stale = Vec::new();
    for (file, arguments) in GENERATED {
        let output = Command::new(&binary)
            .args(arguments)
            .output()
            .with_context(|| format!("{} runs; build it first", binary.display()))?;
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
