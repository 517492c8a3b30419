//! The durable job runner: claims, leases, progress and supervised child processes. Cannot reach HTTP.
