//! Intervals and tests for evaluations, gates and rollouts: Wilson, McNemar, bootstrap,
//! non-inferiority, and a test that may be looked at after every request. Pure functions: cannot
//! reach files, clocks or the network; randomness comes from a seed.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod bootstrap;
mod classes;
mod gamma;
mod interval;
mod mcnemar;
mod non_inferiority;
mod normal;
mod proportions;
mod sequential;

pub use bootstrap::{BootstrapError, paired_bootstrap, paired_difference};
pub use classes::{ClassScore, class_scores, macro_f1};
pub use interval::{Interval, wilson};
pub use mcnemar::{McNemar, mcnemar};
pub use non_inferiority::{NonInferiority, non_inferiority, paired_difference_score_interval};
pub use normal::{normal_cdf, normal_quantile};
pub use proportions::{Proportion, difference_interval, fisher_exact, two_proportions};
pub use sequential::{Stream, confidence_sequence, drop_p_value, increase_p_value};
