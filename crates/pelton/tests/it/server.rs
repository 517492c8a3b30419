//! A real server in a process of its own, on a free port, with data in a temporary folder.

use pelton_client::Client;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer: other tests run beside this one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    folder: PathBuf,
    settings: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// A client without a key.
    pub client: Client,
}

impl Server {
    /// Starts a server over `folder` and waits until it is ready.
    pub async fn start(folder: &Path, settings: &[&str]) -> Self {
        Self::start_with(folder, settings, &[]).await
    }

    /// Starts a server with variables of its own in its environment.
    pub async fn start_with(
        folder: &Path,
        settings: &[&str],
        environment: &[(&'static str, String)],
    ) -> Self {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let (child, client) = launch(folder, &settings, environment).await;
        let (folder, environment) = (folder.to_owned(), environment.to_vec());
        Self { child, folder, settings, environment, client }
    }

    /// Kills the server at once.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is killed");
        self.child.wait().expect("the server is gone");
    }

    /// Starts a server that was killed.
    pub async fn restart(&mut self) {
        let (child, client) = launch(&self.folder, &self.settings, &self.environment).await;
        (self.child, self.client) = (child, client);
    }

    /// The server's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Processes that the server started and that run now, by a part of their command line.
    pub fn children(&self, part: &str) -> Vec<u32> {
        processes()
            .into_iter()
            .filter(|process| process.parent == self.process() && process.command.contains(part))
            .map(|process| process.id)
            .collect()
    }

    /// Waits until the engine serves.
    pub async fn engine_ready(&self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(overview) = self.client.get::<Value>("/api/v1/overview").await
                && overview["engine"]["state"] == "ready"
            {
                return;
            }
            pause().await;
        }
        panic!("the engine was not ready within {PATIENCE:?}:\n{}", log(&self.folder));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::zombie_processes, reason = "`Server` waits for it; a panic ends the test")]
async fn launch(
    folder: &Path,
    settings: &[String],
    environment: &[(&'static str, String)],
) -> (Child, Client) {
    let announced = folder.join("server.json");
    let _ = std::fs::remove_file(&announced);
    std::fs::create_dir_all(folder).expect("a folder");
    let log_file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))
        .expect("a log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(["up", "--set", "server.listen=127.0.0.1:0", "--set"]);
    command.arg(format!("server.data={}", folder.display()));
    for setting in settings {
        command.args(["--set", setting]);
    }
    let mut child = command
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .spawn()
        .expect("the server starts");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("the server's state") {
            panic!("the server ended with {status}:\n{}", log(folder));
        }
        if let Some(url) = read_url(&announced) {
            let client = Client::new(&url, None);
            if client.get::<Value>("/readyz").await.is_ok() {
                return (child, client);
            }
        }
        pause().await;
    }
    panic!("the server was not ready within {PATIENCE:?}:\n{}", log(folder));
}

fn read_url(file: &Path) -> Option<String> {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    Some(value["url"].as_str()?.to_owned())
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("server.log")).unwrap_or_default()
}

/// Between two looks at something that takes its time.
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// A process of this machine.
pub struct Process {
    /// Its number.
    pub id: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its command line, parts divided by spaces.
    pub command: String,
}

/// Every process of this machine that is no zombie.
pub fn processes() -> Vec<Process> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let Ok(status) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = status.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next();
        let Some(parent) = fields.next().and_then(|parent| parent.parse().ok()) else { continue };
        if state == Some("Z") {
            continue;
        }
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        found.push(Process { id, parent, command });
    }
    found
}

/// Kills a process at once.
pub fn kill(process: u32) {
    let _ = Command::new("kill").args(["-9", &process.to_string()]).status();
}
