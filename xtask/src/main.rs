//! The project's own tools. `cargo xtask help` lists them.

mod bench;
mod generate;
mod tidy;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tools")]
struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Check the layers, the file rules and the generated files.
    Tidy,
    /// Write the generated files: configuration reference, OpenAPI document, settings schema.
    Gen {
        /// Fail if a file would change, and write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Run a benchmark and print one JSON object with its checks.
    Bench(bench::Arguments),
    /// Train pelton-tiny from nothing into a folder.
    TrainTiny {
        /// Where the model folder is written.
        #[arg(long, default_value = "target/pelton-tiny")]
        out: PathBuf,
        /// Where checkpoints are kept, from which an interrupted run goes on.
        #[arg(long, default_value = "target/pelton-tiny-work")]
        work: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let root = workspace_root()?;
    match Arguments::parse().tool {
        Tool::Tidy => tidy::run(&root),
        Tool::Gen { check } => generate::run(&root, check),
        Tool::Bench(arguments) => bench::run(&root, &arguments),
        Tool::TrainTiny { out, work } => train_tiny(&root, &out, &work),
    }
}

/// The folder of the workspace: the parent of this package's folder.
fn workspace_root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .context("xtask lies in the workspace")
}

fn train_tiny(root: &Path, out: &Path, work: &Path) -> anyhow::Result<()> {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.current_dir(root).args([
        "run",
        "--release",
        "--package",
        "pelton-tiny",
        "--example",
        "train_tiny",
        "--",
    ]);
    command.arg(out).arg(work);
    let status = command.status().context("cargo starts")?;
    anyhow::ensure!(status.success(), "training ended with {status}");
    Ok(())
}
