//! Answers do not depend on where a trace lies: hot, sealed or half and half, they are those of an
//! evaluator that knows neither SQLite nor Parquet nor DataFusion.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod it {
    mod aggregates;
    mod lists;
    mod naive;
    mod random_queries;
    mod scans;
    mod traffic;
}
