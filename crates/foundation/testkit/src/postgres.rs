//! A PostgreSQL server of a test's own: made with `initdb` in a temporary folder, reached over a
//! Unix socket, gone when dropped.

use anyhow::{Context as _, Result, bail};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running server.
#[derive(Debug)]
pub struct TemporaryPostgres {
    folder: TempDir,
    programs: Programs,
    server: Child,
}

/// Where the programs are, and whom to run them as: the server refuses to run as root.
#[derive(Debug, Clone)]
struct Programs {
    folder: PathBuf,
    user: Option<(u32, u32)>,
}

impl TemporaryPostgres {
    /// Starts a server; takes about two seconds.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let programs = Programs::find()?;
        let folder = tempfile::Builder::new().prefix("pelton-pg-").tempdir_in("/tmp")?;
        if let Some((user, group)) = programs.user {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        let made = programs
            .command("initdb")
            .args(["-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync", "-D"])
            .arg(&data)
            .output()?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let server = programs.start_server(&data, folder.path())?;
        let started = Self { folder, programs, server };
        started.wait_until_ready()?;
        Ok(started)
    }

    /// Makes an empty database and answers its URL.
    ///
    /// # Errors
    /// When the name is taken or the server is gone.
    pub fn create_database(&self, name: &str) -> Result<String> {
        let made = self
            .programs
            .command("createdb")
            .args(["-U", "postgres", "-h"])
            .arg(self.folder.path())
            .arg(name)
            .output()?;
        if !made.status.success() {
            bail!("createdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(format!("postgres://postgres@localhost/{name}?host={}", self.folder.path().display()))
    }

    fn wait_until_ready(&self) -> Result<()> {
        let log = self.folder.path().join("log");
        for _ in 0..600 {
            let probe = self
                .programs
                .command("pg_isready")
                .args(["-q", "-t", "5", "-U", "postgres", "-h"])
                .arg(self.folder.path())
                .status()?;
            if probe.success() {
                return Ok(());
            }
            #[expect(clippy::disallowed_methods, reason = "the server has no other sign of life")]
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        bail!("PostgreSQL did not start: {}", std::fs::read_to_string(log).unwrap_or_default())
    }
}

impl Drop for TemporaryPostgres {
    fn drop(&mut self) {
        let stopped = self
            .programs
            .command("pg_ctl")
            .args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.folder.path().join("data"))
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            drop(self.server.kill());
        }
        drop(self.server.wait());
    }
}

impl Programs {
    fn find() -> Result<Self> {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
            .unwrap_or_default();
        versions.retain(|bin| bin.join("initdb").exists());
        versions.sort();
        let folder = versions.pop().context(
            "PostgreSQL is not installed: `apt-get install postgresql`, or run the bootstrap script",
        )?;
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        Ok(Self { folder, user: if is_root { Some(unprivileged_user()?) } else { None } })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.stdin(Stdio::null()).current_dir("/tmp");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// The server dies with its test: `setpriv` has the kernel see to it where it is installed.
    fn start_server(&self, data: &Path, sockets: &Path) -> Result<Child> {
        let log = std::fs::File::create(sockets.join("log"))?;
        let server = self.folder.join("postgres");
        let mut command = self.command("postgres");
        if Path::new("/usr/bin/setpriv").exists() {
            command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "QUIT", "--"]).arg(&server).current_dir("/tmp");
            if let Some((user, group)) = self.user {
                command.uid(user).gid(group);
            }
        }
        command.arg("-D").arg(data).arg("-k").arg(sockets);
        for setting in
            ["listen_addresses=", "fsync=off", "full_page_writes=off", "shared_buffers=16MB"]
        {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("PostgreSQL could not be started")
    }
}

/// The user `postgres`, which its packages make.
fn unprivileged_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = line.context("there is no user `postgres`")?.split(':').collect();
    match fields.as_slice() {
        [_, _, user, group, ..] => Ok((user.parse()?, group.parse()?)),
        _ => bail!("/etc/passwd has a broken line for `postgres`"),
    }
}
