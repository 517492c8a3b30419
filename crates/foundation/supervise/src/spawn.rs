//! Starting a child from the one thread that never ends.

use crate::child::ChildProcess;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Where a child's standard error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stderr {
    /// To the parent's.
    #[default]
    Inherit,
    /// To the parent, which reads it.
    Piped,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set besides the parent's own.
    pub env: Vec<(OsString, OsString)>,
    /// Its folder; the parent's when not given.
    pub folder: Option<PathBuf>,
    /// Where its standard error goes.
    pub stderr: Stderr,
}

impl ChildSpec {
    /// `program` with `args`, in the parent's folder and environment.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: vec![],
            folder: None,
            stderr: Stderr::Inherit,
        }
    }

    /// The same with a variable set.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The same with standard error going elsewhere.
    #[must_use]
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Starts the child. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub async fn spawn(&self) -> Result<ChildProcess, SpawnError> {
        let failed = |source| SpawnError { program: self.program.clone(), source };
        let (answer, answered) = oneshot::channel();
        let request = Request { spec: self.clone(), runtime: Handle::current(), answer };
        spawner()
            .and_then(|spawner| spawner.send(request).map_err(io::Error::other))
            .map_err(failed)?;
        let child = answered.await.map_err(io::Error::other).and_then(|spawned| spawned);
        child.map(ChildProcess::new).map_err(failed)
    }
}

/// A child that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("`{program}` could not be started", program = program.display())]
pub struct SpawnError {
    /// The program.
    pub program: PathBuf,
    /// Why.
    pub source: io::Error,
}

struct Request {
    spec: ChildSpec,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<tokio::process::Child>>,
}

/// The way to the thread that spawns. `PR_SET_PDEATHSIG` is tied to the spawning thread, and a
/// runtime's threads may end before their process does.
fn spawner() -> io::Result<&'static mpsc::Sender<Request>> {
    static SPAWNER: OnceLock<Result<mpsc::Sender<Request>, io::ErrorKind>> = OnceLock::new();
    let start = || {
        let (requests, incoming) = mpsc::channel();
        let thread = std::thread::Builder::new().name("supervise".into());
        match thread.spawn(move || serve(&incoming)) {
            Ok(_) => Ok(requests),
            Err(error) => Err(error.kind()),
        }
    };
    SPAWNER.get_or_init(start).as_ref().map_err(|&kind| kind.into())
}

fn serve(incoming: &mpsc::Receiver<Request>) {
    while let Ok(Request { spec, runtime, answer }) = incoming.recv() {
        let _within = runtime.enter();
        // A caller that gave up drops the child, and dropping kills it.
        drop(answer.send(command(&spec).spawn()));
    }
}

fn command(spec: &ChildSpec) -> Command {
    let ChildSpec { program, args, env, folder, stderr } = spec;
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(match stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::Piped => Stdio::piped(),
        })
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    die_with_parent(&mut command);
    command
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let ask_kernel = move || {
        // SAFETY: both calls are async-signal-safe and touch no memory.
        #[expect(unsafe_code, reason = "prctl and getppid have no safe form in std")]
        let (asked, present) =
            unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
        if asked != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died before the kernel was asked.
        if i64::from(present) != i64::from(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and calls async-signal-safe functions only.
    #[expect(unsafe_code, reason = "the kernel must be asked between fork and exec")]
    unsafe {
        command.pre_exec(ask_kernel);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
