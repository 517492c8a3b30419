//! The DataFusion session and the threads it runs on, made at the first query that needs them, so
//! that an idle server pays nothing and a heavy query never holds up the request path.

use crate::error::{Result, unexpected};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Memory that sorts and aggregations may use together.
const MEMORY_BYTES: usize = 512 << 20;
const MOST_THREADS: usize = 4;

pub(crate) struct Session {
    context: SessionContext,
    /// Absent only while it is being dropped.
    runtime: Option<Runtime>,
}

/// Makes the session once.
#[derive(Default)]
pub(crate) struct LazySession(OnceLock<Session>);

impl LazySession {
    pub(crate) fn get(&self) -> Result<&Session> {
        if let Some(session) = self.0.get() {
            return Ok(session);
        }
        let session = Session::new()?;
        Ok(self.0.get_or_init(|| session))
    }
}

impl Session {
    fn new() -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(MOST_THREADS);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("trace-query")
            .enable_all()
            .build()
            .map_err(|error| unexpected(error.to_string()))?;
        let config = SessionConfig::new()
            .with_target_partitions(threads)
            .with_collect_statistics(false)
            .set_bool("datafusion.execution.parquet.pushdown_filters", true)
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
        let environment =
            RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc()?;
        let context = SessionContext::new_with_config_rt(config, environment);
        Ok(Self { context, runtime: Some(runtime) })
    }

    pub(crate) const fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Runs the query on the session's own threads; dropping the future stops it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        query: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.runtime else { return Err(unexpected("it is shutting down")) };
        let mut task = StopOnDrop(runtime.spawn(query));
        (&mut task.0).await.map_err(|error| unexpected(error.to_string()))?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Waiting for it is not allowed where this may be dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct StopOnDrop<T>(JoinHandle<T>);

impl<T> Drop for StopOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
