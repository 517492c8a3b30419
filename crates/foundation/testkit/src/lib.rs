//! What tests share: a temporary PostgreSQL, a mock upstream, seeded data. Never a dependency outside tests.

pub mod mock_upstream;
pub mod postgres;
