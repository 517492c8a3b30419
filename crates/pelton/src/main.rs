//! The binary: wiring only. Each subcommand is a file.

mod authenticator;
mod built_in;
mod collect_artifacts;
mod config_pages;
mod data_folder;
mod demo;
mod engine_process;
mod engines;
mod export_adapter;
mod job_command;
mod job_runner;
mod jobs;
mod model_sources;
mod operations;
mod project_config;
mod pull;
mod quantize;
mod randomness;
mod recorder;
mod rollouts;
mod seal_traces;
mod snapshot;
mod trace_catalog;
mod up;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tensors of megabytes come and go at every step; the system's allocator would return them to
/// the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turn the traffic of an LLM application into better, cheaper, safer models.
#[derive(Parser)]
#[command(name = "pelton", version, propagate_version = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  pelton up                                serve on http://127.0.0.1:7077, data in ./data
  pelton demo                              one full turn of the wheel on the telco desk
  pelton turn --data ../banking77          the same turn on real customer queries
  pelton trace list --endpoint telco-desk  what was asked and answered
  pelton endpoint rollback telco-desk      back to the release before, at once";

#[derive(Subcommand)]
enum Command {
    /// Run the server: gateway, API, console, jobs and the embedded engine.
    Up(up::Arguments),
    /// Start a server of its own and turn the wheel once on the telco desk.
    Demo(demo::Arguments),
    /// Turn the wheel once through a running server.
    Turn(pelton_turn::Arguments),
    /// Print pages that are made from the code.
    #[command(subcommand, hide = true)]
    Config(config_pages::Page),
    /// Run the embedded engine; `up` starts it.
    #[command(subcommand, hide = true)]
    Engine(engine_process::Command),
    /// Run one job; `up` starts it.
    #[command(hide = true)]
    RunJob(job_command::Arguments),
    #[command(flatten)]
    Api(Box<pelton_cli::Command>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command")]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => up::run(arguments),
        Command::Demo(arguments) => runtime(1)?.block_on(demo::run(arguments)),
        Command::Turn(arguments) => runtime(2)?.block_on(pelton_turn::run_command(arguments)),
        Command::Config(page) => config_pages::print(page),
        Command::Engine(command) => engine_process::serve(command),
        Command::RunJob(arguments) => job_command::run(arguments),
        Command::Api(command) if command.quantize().is_some() => {
            command.quantize().map_or(Ok(ExitCode::SUCCESS), quantize::run)
        }
        Command::Api(command) if command.export_adapter().is_some() => {
            match command.export_adapter() {
                Some((export, globals)) => export_adapter::run(export, globals),
                None => Ok(ExitCode::SUCCESS),
            }
        }
        Command::Api(command) if command.pull().is_some() => match command.pull() {
            Some((pull, globals)) => runtime(2)?.block_on(pull::run(pull, globals)),
            None => Ok(ExitCode::SUCCESS),
        },
        Command::Api(command) => runtime(1)?.block_on(pelton_cli::run(*command)),
    }
}

/// A runtime with this many worker threads.
fn runtime(threads: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .enable_all()
        .build()
        .context("the runtime starts")
}
