//! Threads that share the operators of one pass.
//!
//! A small model's step is over before threads could divide its operators, so that each thread takes
//! whole sequences. A large model is read from memory at every step, and reading it once for all
//! sequences, a part by each thread, is what counts. A pass has some hundred operators, each over in a
//! fraction of a millisecond: threads that look out for the next one meet sooner than threads that are
//! woken up for it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::SchedulerError;

/// Looks for work that a thread takes before it lets others have the processor, and before it sleeps.
const SPINS: u32 = 2_000;
const YIELDS: u32 = 200;

/// The threads of a pass; possibly the caller's alone.
#[derive(Debug, Default)]
pub(crate) struct Team {
    shared: Option<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
}

impl Team {
    /// `threads` threads that share each operator, the caller's included.
    pub(crate) fn start(threads: usize) -> Result<Self, SchedulerError> {
        if threads < 2 {
            return Ok(Self::default());
        }
        let shared = Arc::new(Shared::default());
        let mut team = Self { shared: Some(Arc::clone(&shared)), threads: Vec::new() };
        for number in 1..threads {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name(format!("team-{number}"))
                .spawn(move || shared.serve())
                .map_err(SchedulerError::Thread)?;
            team.threads.push(thread);
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub(crate) fn width(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs a pass, whose calls of [`Self::each`] are then shared.
    pub(crate) fn pass<R>(&self, pass: impl FnOnce() -> R) -> R {
        let Some(shared) = &self.shared else { return pass() };
        shared.busy.store(true, Ordering::Release);
        shared.wake();
        let result = pass();
        shared.busy.store(false, Ordering::Release);
        result
    }

    /// Does something with every item, and returns when all is done.
    ///
    /// # Panics
    /// Where `run` does, on whatever thread.
    pub(crate) fn each<T: Send>(&self, items: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
        let Some(shared) = &self.shared else {
            items.into_iter().for_each(run);
            return;
        };
        let items: Vec<_> = items.into_iter().map(|item| UnsafeCell::new(Some(item))).collect();
        match items.len() {
            0 => {}
            1 => items.into_iter().filter_map(UnsafeCell::into_inner).for_each(run),
            count => shared.divide(&Job { items, run }, count),
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.closed.store(true, Ordering::Release);
            shared.wake();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Items, and what is to be done with each.
struct Job<T, F> {
    items: Vec<UnsafeCell<Option<T>>>,
    run: F,
}

/// Does something with one item of the job that is given by its address.
type RunItem = fn(*const (), usize);

fn run_item<T, F: Fn(T)>(job: *const (), index: usize) {
    #[expect(unsafe_code, reason = "a job is shared by its address")]
    // SAFETY: `Shared::divide` keeps the job until every item is done, and gives each index to one thread.
    unsafe {
        let job = &*job.cast::<Job<T, F>>();
        if let Some(item) = (*job.items[index].get()).take() {
            (job.run)(item);
        }
    }
}

/// Where the team meets.
#[derive(Debug, Default)]
struct Shared {
    /// The job's number (32 bits), how many of its items nobody took yet (32 bits).
    open: AtomicU64,
    /// The job's address, and its [`RunItem`]. They stay as long as an item of the job is not done.
    job: AtomicPtr<()>,
    run: AtomicPtr<()>,
    /// Items that are not done.
    left: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// A pass runs: nobody sleeps.
    busy: AtomicBool,
    closed: AtomicBool,
    sleeping: Mutex<()>,
    wake: Condvar,
}

impl Shared {
    /// Shares a job of `count` items.
    fn divide<T: Send, F: Fn(T) + Sync>(&self, job: &Job<T, F>, count: usize) {
        let run: RunItem = run_item::<T, F>;
        self.job.store(std::ptr::from_ref(job).cast_mut().cast(), Ordering::Relaxed);
        self.run.store(run as *mut (), Ordering::Relaxed);
        self.left.store(count, Ordering::Relaxed);
        let number = (self.open.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.open.store(number << 32 | count as u64, Ordering::Release);
        while self.take_item() {}
        let mut rest = Patience::default();
        while self.left.load(Ordering::Acquire) > 0 {
            rest.wait();
        }
        if let Some(panic) = self.panic.lock().take() {
            resume_unwind(panic);
        }
    }

    /// Does one item of the present job; tells whether there was one.
    fn take_item(&self) -> bool {
        let mut open = self.open.load(Ordering::Acquire);
        loop {
            if open as u32 == 0 {
                return false;
            }
            match self.open.compare_exchange_weak(
                open,
                open - 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => open = now,
            }
        }
        let (job, run) = (self.job.load(Ordering::Relaxed), self.run.load(Ordering::Relaxed));
        #[expect(unsafe_code, reason = "atomics keep no pointers to functions")]
        // SAFETY: `divide` stored a `RunItem`, before it opened the item that was just taken.
        let run = unsafe { std::mem::transmute::<*mut (), RunItem>(run) };
        let index = (open as u32 - 1) as usize;
        let done = catch_unwind(AssertUnwindSafe(|| run(job, index)));
        if let Err(panic) = done {
            self.panic.lock().get_or_insert(panic);
        }
        self.left.fetch_sub(1, Ordering::Release);
        true
    }

    /// What the other threads do.
    fn serve(&self) {
        let mut rest = Patience::default();
        while !self.closed.load(Ordering::Acquire) {
            if self.take_item() {
                rest = Patience::default();
            } else if rest.is_over() {
                // Whoever sets one of them takes this lock afterwards.
                let mut sleeping = self.sleeping.lock();
                let awake = [&self.busy, &self.closed];
                while !awake.iter().any(|flag| flag.load(Ordering::Acquire)) {
                    self.wake.wait(&mut sleeping);
                }
                rest = Patience::default();
            } else {
                rest.wait();
            }
        }
    }

    fn wake(&self) {
        let _sleeping = self.sleeping.lock();
        self.wake.notify_all();
    }
}

/// Looks again at once at first, then lets others have the processor in between.
#[derive(Debug, Default)]
struct Patience {
    looks: u32,
}

impl Patience {
    fn is_over(&self) -> bool {
        self.looks >= SPINS + YIELDS
    }

    fn wait(&mut self) {
        self.looks = self.looks.saturating_add(1);
        if self.looks < SPINS {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Team;

    #[test]
    fn every_item_is_done_once() {
        for threads in 1..5 {
            let team = Team::start(threads).unwrap();
            assert_eq!(team.width(), threads);
            for count in (0..200).chain([5_000]) {
                let mut done = vec![0_usize; count];
                team.pass(|| {
                    team.each(done.iter_mut().enumerate(), |(at, place)| *place += at + 1)
                });
                assert!(done.iter().enumerate().all(|(at, found)| *found == at + 1));
            }
        }
    }

    #[test]
    fn a_panic_comes_to_the_caller_when_all_is_done() {
        let team = Team::start(3).unwrap();
        for _ in 0..50 {
            let done = AtomicUsize::new(0);
            let run = || {
                team.each(0..40, |item| {
                    assert!(item != 17, "item 17");
                    done.fetch_add(1, Ordering::Relaxed);
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
            assert_eq!(done.into_inner(), 39);
        }
        let sum = AtomicUsize::new(0);
        team.each(0..10, |item| {
            sum.fetch_add(item, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}
