//! Gates and rollouts as pure state machines. Cannot reach I/O or a clock.
