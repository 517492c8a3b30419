//! The engine as a child process that speaks OpenAI's dialect on a local socket. Cannot reach a store.
