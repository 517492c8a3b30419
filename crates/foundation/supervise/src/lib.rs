//! Child processes that die with their parent. Cannot reach a store or HTTP.
//!
//! Three things keep an orphan from staying behind, since each alone has a hole. The kernel kills
//! the child when the thread that spawned it ends, so one thread that never ends spawns them all.
//! The child's standard input is a pipe that only the parent holds, and the child leaves when it
//! closes ([`exit_with_parent`]), which also reaches it where the kernel's signal does not, such
//! as after a change of user. And a child leads its own process group, which is killed as a whole.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod child;
mod exit_with_parent;
mod free_memory;
mod keep_running;
mod spawn;

pub use child::{ChildProcess, describe_exit};
pub use exit_with_parent::exit_with_parent;
pub use free_memory::free_memory;
pub use keep_running::{KeepRunning, Restart, State};
pub use spawn::{ChildSpec, SpawnError, Stderr};
