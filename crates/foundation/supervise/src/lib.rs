//! Child processes that die with their parent. Cannot reach a store or HTTP.
