//! What tests share: a temporary PostgreSQL, a mock upstream, a mock hub, seeded data. Never a dependency outside tests.

pub mod mock_hub;
pub mod mock_upstream;
pub mod postgres;
