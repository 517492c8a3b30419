//! The tasks, one file each. Every function makes one question with its one right answer.

pub mod compare;
pub mod copy;
pub mod fill;
pub mod intent;
pub mod lookup;
pub mod raw;
pub mod records;
pub mod schema;
pub mod select;

/// How large an item may be: 0 for the shortest, 3 for the full size.
pub type Level = usize;
/// How many levels there are.
pub const LEVELS: usize = 4;
