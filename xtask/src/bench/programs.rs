//! Programs that benchmarks run: the project's examples, and peers in Python under `.build`.

use anyhow::Context as _;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The interpreter of a virtual environment in `folder`. If `modules` cannot be imported it is made,
/// and each of `installs`, arguments of `pip install`, is installed; `note` tells what to expect.
pub fn python(
    folder: &Path,
    modules: &str,
    note: &str,
    installs: &[&[&str]],
) -> anyhow::Result<PathBuf> {
    let python = folder.join("bin/python");
    let probe = format!("import {modules}");
    let have = Command::new(&python).args(["-c", &probe]).stderr(Stdio::null()).status();
    if !have.is_ok_and(|status| status.success()) {
        eprintln!("{note} into {}", folder.display());
        let mut venv = Command::new("python3");
        finished(venv.args(["-m", "venv"]).arg(folder), "a virtual environment")?;
        for packages in installs {
            let mut pip = Command::new(&python);
            finished(pip.args(["-m", "pip", "install", "--quiet"]).args(*packages), "pip")?;
        }
    }
    Ok(python)
}

/// An example of the workspace, built with the whole of it: another selection has other features.
pub fn example(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    build(root, &["--example", name])?;
    Ok(target(root).join("release/examples").join(name))
}

/// The binary, built if it is not.
pub fn pelton(root: &Path) -> anyhow::Result<PathBuf> {
    build(root, &["--bin", "pelton"])?;
    Ok(target(root).join("release/pelton"))
}

fn build(root: &Path, what: &[&str]) -> anyhow::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["build", "--quiet", "--release", "--locked", "--workspace"]);
    finished(cargo.args(what), "cargo build")
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Runs a program to its end.
pub fn finished(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let status = command.stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{what}: it starts"))?;
    anyhow::ensure!(status.success(), "{what} ended with {status}");
    Ok(())
}

/// What a program prints as JSON.
pub fn object(command: &mut Command, what: &str) -> anyhow::Result<Value> {
    let output = command.output().with_context(|| format!("{what}: it starts"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{what} ended with {}: {told}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{what} prints no JSON"))
}
