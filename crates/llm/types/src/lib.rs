//! One vocabulary for chat requests, answers and streams. Cannot reach I/O.
