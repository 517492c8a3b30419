//! Python programs of benchmarks, in virtual environments under `.build`.

use anyhow::Context as _;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The interpreter of `.build/NAME`, with `packages` installed if `modules` cannot be imported.
pub fn environment(
    root: &Path,
    name: &str,
    modules: &str,
    packages: &[&str],
) -> anyhow::Result<PathBuf> {
    let environment = root.join(".build").join(name);
    let python = environment.join("bin/python");
    let probe = format!("import {modules}");
    let have = Command::new(&python).args(["-c", &probe]).stderr(Stdio::null()).status();
    if !have.is_ok_and(|status| status.success()) {
        eprintln!("installing {} into {}", packages.join(", "), environment.display());
        finished(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut pip = Command::new(&python);
        finished(pip.args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    }
    Ok(python)
}

/// Runs a program to its end.
pub fn finished(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// What a program prints as JSON.
pub fn object(command: &mut Command) -> anyhow::Result<Value> {
    let output = command.stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{command:?} prints no JSON"))
}
