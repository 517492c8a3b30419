//! One suite for both databases: each check runs on a fresh SQLite file and on a fresh PostgreSQL
//! database.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

#[path = "it/audit.rs"]
mod audit;
#[path = "it/bench.rs"]
mod bench;
#[path = "it/concurrency.rs"]
mod concurrency;
#[path = "it/durability.rs"]
mod durability;
#[path = "it/endpoints.rs"]
mod endpoints;
#[path = "it/jobs.rs"]
mod jobs;
#[path = "it/keys.rs"]
mod keys;
#[path = "it/nouns.rs"]
mod nouns;
#[path = "it/populate.rs"]
mod populate;
#[path = "it/system.rs"]
mod system;
#[path = "it/tenants.rs"]
mod tenants;

use bench::Bench;
use pelton_testkit::postgres::TemporaryPostgres;

/// Every check becomes a SQLite test of its own; on PostgreSQL one test starts the server and runs
/// them all.
macro_rules! on_both {
    ($($module:ident :: $check:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$module::$check(super::Bench::sqlite().await).await;
            })*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres() {
            let server = TemporaryPostgres::start().unwrap();
            $({
                eprintln!(concat!("postgres: ", stringify!($check)));
                let bench = Bench::postgres(&server, stringify!($check)).await;
                let store = bench.store.clone();
                // Boxed: all of them in one future would not fit a stack.
                Box::pin($module::$check(bench)).await;
                store.close().await;
            })*
        }
    };
}

on_both!(
    audit::every_change_is_told_once,
    audit::the_chain_shows_tampering,
    concurrency::versions_are_numbered_without_gaps,
    concurrency::one_writer_wins_a_generation,
    concurrency::a_job_is_claimed_once,
    durability::what_was_written_is_there_after_reopening,
    durability::a_foreign_schema_is_refused,
    endpoints::traffic_has_generations,
    endpoints::traffic_must_make_sense,
    endpoints::rollback_goes_back_before_a_rollout,
    endpoints::a_rollout_runs_to_promotion,
    endpoints::a_gate_that_was_not_passed_refuses,
    jobs::a_job_from_queue_to_result,
    jobs::a_lease_fences,
    jobs::failures_back_off_and_progress_forgives,
    jobs::cancel_and_requeue,
    jobs::metrics_and_logs_are_kept_once,
    jobs::claims_follow_priority_and_kind,
    keys::a_key_from_creation_to_revocation,
    keys::keys_are_checked,
    nouns::models_and_datasets_have_versions,
    nouns::a_job_makes_one_of_each,
    nouns::releases_are_immutable,
    nouns::lists_come_in_pages,
    nouns::settings_and_references,
    system::leases_have_one_holder,
    system::trace_parts_appear_once,
    system::configuration_generations_grow,
    tenants::nothing_crosses_projects,
    tenants::rights_are_checked,
    tenants::deadlines_are_kept,
);
