//! `pelton demo`: a server of its own, one full turn of the wheel, and the console left running.

use crate::data_folder::{ServerFile, announced};
use anyhow::Context as _;
use clap::Args;
use pelton_client::Client;
use pelton_turn::TurnOptions;
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Where the demo's server listens, unless something else does.
const ADDRESS: &str = "127.0.0.1:7077";
/// How long the server and its engine may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the demo is told what to do.
#[derive(Args)]
pub struct Arguments {
    /// Where the demo's server keeps its data and the report goes.
    #[arg(long, default_value = ".build/demo")]
    folder: PathBuf,
    /// Stop the server of an earlier demo, and do nothing else.
    #[arg(long)]
    stop: bool,
    /// One seed and few items: shows the way, proves little.
    #[arg(long)]
    quick: bool,
    /// Seeds of the fine-tunes.
    #[arg(long)]
    seeds: Option<u64>,
}

/// Runs the demo. An earlier one's server is stopped, and its data removed.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let data = arguments.folder.join("data");
    let stopped = stop(&data).await?;
    if arguments.stop {
        say(if stopped { "the demo's server is stopped" } else { "no server of a demo runs" });
        return Ok(ExitCode::SUCCESS);
    }
    if data.exists() {
        std::fs::remove_dir_all(&data)
            .with_context(|| format!("cannot remove the last demo's data in {}", data.display()))?;
    }
    std::fs::create_dir_all(&arguments.folder)?;
    let url = start(&arguments.folder, &data).await?;
    let out = arguments.folder.join("report");
    let options = TurnOptions {
        url: url.clone(),
        out: out.clone(),
        quick: arguments.quick,
        seeds: arguments.seeds,
        ..TurnOptions::default()
    };
    let report = pelton_turn::run(options).await.with_context(|| {
        let log = arguments.folder.join("server.log");
        format!("the turn failed; the server runs on at {url}, its log is {}", log.display())
    })?;
    say(&std::fs::read_to_string(out.join("report.md"))?);
    let page = out.join("report.html");
    say(&format!(
        "report   {}\nconsole  {url}\nstop     pelton demo --folder {} --stop",
        page.canonicalize().unwrap_or(page).display(),
        arguments.folder.display()
    ));
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the demo's report")]
fn say(text: &str) {
    println!("{text}");
}

/// Starts the server in a session of its own, so that it outlives this process.
async fn start(folder: &Path, data: &Path) -> anyhow::Result<String> {
    let listen = if TcpListener::bind(ADDRESS).is_ok() { ADDRESS } else { "127.0.0.1:0" };
    let log_path = folder.join("server.log");
    let log = std::fs::File::create(&log_path)?;
    let program = std::env::current_exe().context("the path of this program")?;
    let mut child = Command::new(program)
        .arg("up")
        .args(["--set", &format!("server.listen={listen}")])
        .args(["--set", &format!("server.data={}", data.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the server")?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            anyhow::bail!("the server ended with {status}:\n{log}");
        }
        if let Some(ServerFile { url, .. }) = announced(data)
            && let Ok(overview) = Client::new(&url, None).get::<Value>("/api/v1/overview").await
            && overview["engine"]["state"] == "ready"
        {
            return Ok(url);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the server was not ready within {PATIENCE:?}; its log is {}", log_path.display())
}

/// Stops the server of the data folder; answers whether there was one.
async fn stop(data: &Path) -> anyhow::Result<bool> {
    let Some(ServerFile { process, .. }) = announced(data) else { return Ok(false) };
    if !is_pelton(process) {
        return Ok(false);
    }
    let status = Command::new("kill").arg(process.to_string()).status()?;
    anyhow::ensure!(status.success(), "cannot stop the server, process {process}");
    let begun = Instant::now();
    while is_pelton(process) {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the server, process {process}, does not stop");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(true)
}

/// Whether the process is a server of Pelton and not another that got its number since.
fn is_pelton(process: u32) -> bool {
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| {
        let mut words = line.split(|&byte| byte == 0);
        let program = words.next().unwrap_or_default();
        program.ends_with(b"pelton") && words.next() == Some(b"up")
    })
}
