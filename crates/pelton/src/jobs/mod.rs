//! What each kind of job does, in a process of its own.

pub mod build_dataset;
pub mod evaluate;
pub mod finetune;
pub mod report;
pub mod search;
