//! The shapes that travel: one file for each noun. They change only with the published OpenAPI.

pub mod audit;
pub mod dataset;
pub mod endpoint;
pub mod evaluation;
pub mod gate;
pub mod job;
pub mod key;
pub mod model;
pub mod overview;
pub mod page;
pub mod release;
pub mod render;
pub mod rollout;
pub mod search;
pub mod trace;
