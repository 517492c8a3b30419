//! Threads that share the operators of one pass.
//!
//! A small model's step is over before threads could divide its operators, so that each thread takes
//! whole sequences. A large model is read from memory at every step, and reading it once for all
//! sequences, a part by each thread, is what counts.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::SchedulerError;

/// The threads of a pass; possibly the caller's alone.
#[derive(Debug, Default)]
pub(crate) struct Team {
    pool: Option<ThreadPool>,
}

impl Team {
    /// `threads` threads that share each operator.
    pub(crate) fn start(threads: usize) -> Result<Self, SchedulerError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("team-{number}"))
            .build()
            .map_err(|error| SchedulerError::Thread(std::io::Error::other(error)))?;
        Ok(Self { pool: Some(pool) })
    }

    /// Threads.
    pub(crate) fn width(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Runs a pass, whose calls of [`Self::each`] are then shared.
    pub(crate) fn pass<R: Send>(&self, pass: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(pass),
            None => pass(),
        }
    }

    /// Does something with every item, and returns when all is done.
    pub(crate) fn each<T: Send>(&self, items: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
        let mut items = items.into_iter();
        if self.pool.is_none() {
            items.for_each(run);
            return;
        }
        let run = &run;
        rayon::in_place_scope(|scope| {
            let own = items.next();
            items.for_each(|item| scope.spawn(move |_| run(item)));
            own.into_iter().for_each(run);
        });
    }
}
