//! Projects, versions, releases, jobs, keys and audit on SQLite or PostgreSQL. The only crate that names a metadata table.
