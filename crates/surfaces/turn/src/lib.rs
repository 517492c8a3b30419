//! One full turn of the wheel as a client of the API: the telco desk, banking77, the report.
//! Cannot reach a store: it sees what every client of the API sees.
//!
//! The sequence of a turn is the sequence of [`telco_turn`]: ask → correct → curate → tune →
//! evaluate → gate → roll out → report.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod ask;
mod banking77_turn;
mod chart;
mod command;
mod datasets;
mod evaluations;
mod fine_tunes;
mod jobs;
mod options;
mod release;
mod report;
mod report_html;
mod report_text;
mod score;
mod steps;
mod telco_turn;

pub mod banking77;
pub mod telco;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;

pub use command::{Arguments, run, run_command};
pub use options::TurnOptions;
pub use report::{
    Banking77Report, CurvePoint, Loss, Refit, Regression, StepTime, TelcoReport, TurnReport,
};
pub use score::Score;
