//! Finds and masks personal data in text. Cannot reach I/O.
