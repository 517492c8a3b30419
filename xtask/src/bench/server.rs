//! A server that a benchmark starts, and stops when dropped.

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// From exec to the first answer of `/readyz`.
    pub ready_after: Duration,
    data: PathBuf,
}

impl Server {
    /// Starts a server on a free port with data in a new folder.
    pub fn start(binary: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        let data = std::env::temp_dir().join(format!("pelton-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data)?;
        let mut command = Command::new(binary);
        command.arg("up").arg("--set").arg(format!("server.data={}", data.display()));
        for setting in ["server.listen=127.0.0.1:0"].iter().chain(settings) {
            command.arg("--set").arg(setting);
        }
        let log = std::fs::File::create(data.join("server.log"))?;
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Self { child, url: String::new(), ready_after: Duration::ZERO, data };
        server.wait_until_ready(begun)?;
        Ok(server)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the engine answers.
    pub fn wait_for_engine(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(120) {
            if get(&self.url, "/api/v1/overview")
                .is_some_and(|answer| answer.contains("\"state\":\"ready\""))
            {
                return Ok(());
            }
            pause(Duration::from_millis(50));
        }
        anyhow::bail!("the engine was not ready within two minutes")
    }

    fn wait_until_ready(&mut self, begun: Instant) -> anyhow::Result<()> {
        let file = self.data.join("server.json");
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.data.join("server.log"))?;
                anyhow::bail!("the server ended with {status}:\n{log}");
            }
            if let Some(url) = read_address(&file)
                && answers(&url)
            {
                self.ready_after = begun.elapsed();
                self.url = url;
                return Ok(());
            }
            pause(Duration::from_millis(2));
        }
        anyhow::bail!("the server was not ready within a minute")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn read_address(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(value.get("url")?.as_str()?.to_owned())
}

/// Whether `/readyz` answers 200.
fn answers(url: &str) -> bool {
    get(url, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The answer to a request, with its head.
fn get(url: &str, path: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let address = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Resident memory of a process in MiB.
pub fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next())
        .context("the kernel tells VmRSS")?
        .parse()?;
    Ok(kib / 1024.0)
}

/// Waits; a benchmark watches another process from outside.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells a benchmark when another process is ready"
)]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
