//! Exact and near duplicates by MinHash. Cannot reach I/O.
