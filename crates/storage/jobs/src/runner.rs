//! Claims jobs into slots, keeps their leases alive, and hands out orders to the attempts.

use crate::attempt::{Attempt, Order};
use pelton_context::OpContext;
use pelton_ids::JobId;
use pelton_metadata::{Backoff, ClaimedJob, Claims, Heartbeat, JobLease, Store, StoreError};
use pelton_supervise::ChildSpec;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

/// The command that does a job.
pub type CommandFor = Arc<dyn Fn(&ClaimedJob) -> ChildSpec + Send + Sync>;

/// How a runner works.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Names the runner in leases and logs.
    pub owner: String,
    /// How many jobs run at once.
    pub slots: u32,
    /// The kinds that it can do; empty for all.
    pub kinds: Vec<String>,
    /// How long a job is held without a heartbeat.
    pub lease: Duration,
    /// How often it looks for work and renews its leases, besides at once when told.
    pub poll: Duration,
    /// How long a child may take to end when asked to, before it is killed.
    pub grace: Duration,
    /// How long a failed job waits.
    pub backoff: Backoff,
    /// Nobody else works on this database: what seems to run at the start is an orphan.
    pub sole: bool,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self {
            owner: "local".into(),
            slots: 1,
            kinds: vec![],
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            backoff: Backoff::default(),
            sole: true,
        }
    }
}

/// A runner at work. Dropping it kills its children; their jobs wait for the next one.
#[derive(Debug)]
pub struct JobRunner {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl JobRunner {
    /// Starts a runner, after queueing again what an earlier one left behind.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn start(
        store: Store,
        ctx: OpContext,
        options: RunnerOptions,
        command: CommandFor,
    ) -> Result<Self, StoreError> {
        if options.sole {
            let orphans = store.job_requeue_orphans(&ctx).await?;
            if !orphans.is_empty() {
                tracing::info!(jobs = orphans.len(), "queued jobs again that an earlier run left");
            }
        }
        let (stop, stopped) = watch::channel(false);
        let running = Running {
            store,
            ctx,
            options,
            command,
            held: HashMap::new(),
            attempts: JoinSet::new(),
            renewed: Instant::now(),
        };
        let task = tokio::spawn(running.run(stopped));
        Ok(Self { stop, task })
    }

    /// Stops the children and gives their jobs back, to be taken up again by the next runner.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the job runner failed");
        }
    }
}

impl Drop for JobRunner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Held {
    lease: JobLease,
    order: watch::Sender<Order>,
}

struct Running {
    store: Store,
    ctx: OpContext,
    options: RunnerOptions,
    command: CommandFor,
    held: HashMap<JobId, Held>,
    attempts: JoinSet<JobId>,
    /// When the leases were last renewed for sure.
    renewed: Instant,
}

impl Running {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let store = self.store.clone();
        let mut tick = tokio::time::interval(self.options.poll);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = store.jobs_changed() => {}
                Some(ended) = self.attempts.join_next() => self.forget(ended),
                () = told_to_stop(&mut stopped) => break,
            }
            self.renew().await;
            self.claim().await;
        }
        self.release().await;
    }

    /// Renews every lease and passes on what the store says about it.
    async fn renew(&mut self) {
        if self.held.is_empty() {
            self.renewed = Instant::now();
            return;
        }
        let leases: Vec<JobLease> = self.held.values().map(|held| held.lease.clone()).collect();
        let began = Instant::now();
        match self.store.job_heartbeat(&self.ctx, &leases, micros(self.options.lease)).await {
            Ok(answers) => {
                self.renewed = began;
                for (job, answer) in answers {
                    self.order(
                        job,
                        match answer {
                            Heartbeat::Held => continue,
                            Heartbeat::Cancel => Order::Cancel,
                            Heartbeat::Lost => Order::Abandon,
                        },
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, source = ?std::error::Error::source(&error), "could not renew job leases");
                // Somebody else may have them by now.
                if self.renewed.elapsed() >= self.options.lease {
                    self.order_all(Order::Abandon);
                }
            }
        }
    }

    async fn claim(&mut self) {
        let busy = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let limit = self.options.slots.saturating_sub(busy);
        if limit == 0 {
            return;
        }
        let claims = Claims {
            owner: self.options.owner.clone(),
            kinds: self.options.kinds.clone(),
            limit,
            ttl: micros(self.options.lease),
        };
        match self.store.job_claim(&self.ctx, &claims, self.options.backoff).await {
            Ok(claimed) => claimed.into_iter().for_each(|claimed| self.begin(claimed)),
            Err(error) => {
                tracing::warn!(%error, source = ?std::error::Error::source(&error), "could not claim jobs");
            }
        }
    }

    fn begin(&mut self, claimed: ClaimedJob) {
        let (order, orders) = watch::channel(Order::GoOn);
        let ClaimedJob { job, lease } = &claimed;
        tracing::info!(job = %job.id, kind = job.kind, attempt = job.attempt, "job begins");
        let attempt = Attempt {
            store: self.store.clone(),
            ctx: self.ctx.clone(),
            spec: (self.command)(&claimed),
            lease: lease.clone(),
            backoff: self.options.backoff,
            grace: self.options.grace,
            orders,
        };
        self.held.insert(job.id, Held { lease: lease.clone(), order });
        let id = job.id;
        self.attempts.spawn(async move {
            attempt.run().await;
            id
        });
    }

    fn forget(&mut self, ended: Result<JobId, tokio::task::JoinError>) {
        match ended {
            Ok(job) => {
                self.held.remove(&job);
            }
            Err(error) => {
                tracing::error!(%error, "a job's attempt failed");
                // Its lease runs out, and the job is tried again.
                self.held.retain(|_, held| held.order.receiver_count() > 0);
            }
        }
    }

    async fn release(mut self) {
        self.order_all(Order::Release);
        while let Some(ended) = self.attempts.join_next().await {
            self.forget(ended);
        }
    }

    fn order(&self, job: JobId, order: Order) {
        if let Some(held) = self.held.get(&job) {
            held.order.send_if_modified(|present| {
                let graver = order > *present;
                *present = order.max(*present);
                graver
            });
        }
    }

    fn order_all(&self, order: Order) {
        self.held.keys().for_each(|&job| self.order(job, order));
    }
}

/// Resolves when the runner shall stop, or nobody is left who could say so.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|&stopped| stopped).await);
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
