//! One attempt at one job: its process from start to end, and what is stored of it.

use crate::message::{Heard, MAX_LINE};
use pelton_context::OpContext;
use pelton_metadata::{Backoff, JobError, JobLease, JobOutcome, JobRecord, Store, StoreError};
use pelton_supervise::{ChildProcess, ChildSpec, Stderr, describe_exit};
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::{mpsc, watch};

/// What the runner wants of an attempt. A later one is graver and stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    GoOn,
    /// Stop and give the job back: the runner shuts down.
    Release,
    /// Stop: somebody asked.
    Cancel,
    /// Kill and write nothing: the job is somebody else's.
    Abandon,
}

pub(crate) struct Attempt {
    pub(crate) store: Store,
    pub(crate) ctx: OpContext,
    pub(crate) spec: ChildSpec,
    pub(crate) lease: JobLease,
    pub(crate) backoff: Backoff,
    pub(crate) grace: Duration,
    pub(crate) orders: watch::Receiver<Order>,
}

/// The job is not ours any more.
struct Lost;

/// What an attempt makes durable.
enum Write {
    Records(Vec<JobRecord>),
    End(JobOutcome),
}

/// What the process said about its end.
#[derive(Default)]
struct Said {
    result: Option<Json>,
    error: Option<JobError>,
    /// The last lines of its standard error, for the report of a crash.
    last_words: VecDeque<String>,
    /// What it did that no job may do.
    broke_rules: Option<String>,
}

/// How the process ended.
enum Ended {
    ByItself(io::Result<ExitStatus>),
    Ordered(Order),
}

const LAST_WORDS: usize = 8;
/// The most lines made durable at once.
const BATCH: usize = 256;
/// How long to wait before trying the store again.
const PATIENCE: Duration = Duration::from_millis(500);

impl Attempt {
    pub(crate) async fn run(mut self) {
        let job = self.lease.job;
        let outcome = match self.spec.clone().stderr(Stderr::Piped).spawn().await {
            Err(error) => Ok(JobOutcome::Failed(cannot_start(&error))),
            Ok(child) => self.attend(child).await,
        };
        let finished = match outcome {
            Ok(outcome) => self.insist(Write::End(outcome)).await,
            Err(Lost) => Err(Lost),
        };
        if finished.is_err() {
            tracing::warn!(%job, "the job is held by another worker by now; left it alone");
        }
    }

    /// Listens to the process until it ends, and decides what that means.
    async fn attend(&mut self, mut child: ChildProcess) -> Result<JobOutcome, Lost> {
        let (heard, mut hearing) = mpsc::channel(1_024);
        let out = child.take_stdout().map(|out| tokio::spawn(listen(out, false, heard.clone())));
        let err = child.take_stderr().map(|err| tokio::spawn(listen(err, true, heard)));
        let mut said = Said::default();
        let ended = loop {
            let mut lines = Vec::with_capacity(BATCH);
            tokio::select! {
                biased;
                order = ordered(&mut self.orders) => break Ended::Ordered(order),
                count = hearing.recv_many(&mut lines, BATCH) => {
                    if count == 0 {
                        break Ended::ByItself(self.wait(&mut child).await);
                    }
                    self.take_in(lines, &mut said).await?;
                }
                status = child.wait() => break Ended::ByItself(status),
            }
        };
        if let Ended::Ordered(order) = ended {
            let grace = if order == Order::Abandon { Duration::ZERO } else { self.grace };
            drop(child.stop(grace).await);
        }
        // The process group is gone, so its pipes end.
        loop {
            let mut lines = Vec::with_capacity(BATCH);
            if hearing.recv_many(&mut lines, BATCH).await == 0 {
                break;
            }
            self.take_in(lines, &mut said).await?;
        }
        for listener in [out, err].into_iter().flatten() {
            drop(listener.await);
        }
        judge(ended, said)
    }

    /// Both pipes are closed; the process may still run. Orders go on to count.
    async fn wait(&mut self, child: &mut ChildProcess) -> io::Result<ExitStatus> {
        let order = tokio::select! {
            status = child.wait() => return status,
            order = ordered(&mut self.orders) => order,
        };
        let grace = if order == Order::Abandon { Duration::ZERO } else { self.grace };
        child.stop(grace).await
    }

    /// Sorts what was heard, and stores what is to be stored.
    async fn take_in(&self, lines: Vec<Line>, said: &mut Said) -> Result<(), Lost> {
        let mut records = Vec::with_capacity(lines.len());
        for line in lines {
            match line {
                Line::Out(line) => match Heard::parse(&line) {
                    Heard::Record(record) => records.push(record),
                    Heard::Result(result) => said.result = Some(result),
                    Heard::Error(error) => said.error = Some(error),
                },
                Line::Err(line) => {
                    said.last_words.push_back(line.clone());
                    if said.last_words.len() > LAST_WORDS {
                        said.last_words.pop_front();
                    }
                    records.push(JobRecord::Log { level: "debug".into(), message: line });
                }
                Line::TooLong => {
                    said.broke_rules =
                        Some(format!("it wrote a line of more than {MAX_LINE} bytes"));
                }
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        self.insist(Write::Records(records)).await
    }

    async fn write(&self, write: &Write) -> Result<(), StoreError> {
        let Self { store, ctx, lease, backoff, .. } = self;
        match write {
            Write::Records(records) => store.job_record(ctx, lease, records).await,
            Write::End(outcome) => {
                let job = store.job_finish(ctx, lease, outcome.clone(), *backoff).await?;
                tracing::info!(job = %job.id, state = %job.state, error = ?job.error, "attempt ended");
                Ok(())
            }
        }
    }

    /// Writes until the store took it. What a job has said is not dropped because the disk is full
    /// or the database away for a while; the process waits on its pipe meanwhile.
    async fn insist(&self, write: Write) -> Result<(), Lost> {
        let mut orders = self.orders.clone();
        loop {
            match self.write(&write).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Fenced(_)) => return Err(Lost),
                Err(error) => {
                    let job = self.lease.job;
                    tracing::warn!(%job, %error, "could not store what a job said; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PATIENCE) => {}
                order = abandoned(&mut orders) => return Err(order),
            }
            // A runner that shuts down cannot wait for ever: the lease runs out instead.
            if *orders.borrow() == Order::Release {
                return Err(Lost);
            }
        }
    }
}

/// Resolves when the job is somebody else's.
async fn abandoned(orders: &mut watch::Receiver<Order>) -> Lost {
    drop(orders.wait_for(|&order| order == Order::Abandon).await);
    Lost
}

/// Resolves when there is an order to stop.
async fn ordered(orders: &mut watch::Receiver<Order>) -> Order {
    match orders.wait_for(|&order| order > Order::GoOn).await {
        Ok(order) => *order,
        // The runner is gone without a word.
        Err(_) => Order::Abandon,
    }
}

/// Decides how an attempt ended.
fn judge(ended: Ended, said: Said) -> Result<JobOutcome, Lost> {
    let status = match ended {
        Ended::Ordered(Order::Abandon) => return Err(Lost),
        Ended::Ordered(Order::Cancel) => return Ok(JobOutcome::Cancelled),
        Ended::Ordered(Order::Release | Order::GoOn) => return Ok(JobOutcome::Released),
        Ended::ByItself(status) => status,
    };
    let Said { result, error, last_words, broke_rules } = said;
    if let Some(message) = broke_rules {
        return Ok(JobOutcome::Failed(failure("protocol", message, "report this as a bug", false)));
    }
    if let Some(error) = error {
        return Ok(JobOutcome::Failed(error));
    }
    let exit = match status {
        Ok(status) => match (status.success(), result) {
            (true, Some(result)) => return Ok(JobOutcome::Succeeded(result)),
            (true, None) => {
                let message = "the job's process ended without a result".into();
                let hint = "see the job's log; report this as a bug";
                return Ok(JobOutcome::Failed(failure("no_result", message, hint, false)));
            }
            (false, _) => describe_exit(status),
        },
        Err(error) => error.to_string(),
    };
    let mut message = format!("the job's process crashed: {exit}");
    if !last_words.is_empty() {
        message = format!("{message}; it wrote last: {}", Vec::from(last_words).join(" | "));
    }
    Ok(JobOutcome::Failed(failure("crashed", message, "see the job's log", true)))
}

fn cannot_start(error: &pelton_supervise::SpawnError) -> JobError {
    let message = format!("{error}: {}", error.source);
    failure("cannot_start", message, "check that the Pelton binary is still in its place", true)
}

fn failure(code: &str, message: String, hint: &str, retryable: bool) -> JobError {
    JobError { code: code.into(), message, hint: hint.into(), retryable }
}

/// A line of a process.
enum Line {
    Out(String),
    Err(String),
    TooLong,
}

/// Reads lines until the pipe ends. The channel is bounded: a store that is slow holds the process
/// up instead of filling memory.
async fn listen(pipe: impl AsyncRead + Unpin, is_error: bool, heard: mpsc::Sender<Line>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limited = (&mut pipe).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).await;
        if !limited.is_ok_and(|count| count > 0) {
            return;
        }
        if line.len() > MAX_LINE {
            // Nothing after it can be understood; closing the pipe ends the process.
            drop(heard.send(Line::TooLong).await);
            return;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.is_empty() {
            continue;
        }
        let said = if is_error { Line::Err(text) } else { Line::Out(text) };
        if heard.send(said).await.is_err() {
            return;
        }
    }
}
