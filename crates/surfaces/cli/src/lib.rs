//! The command line: noun, verb. Speaks only the native REST API.
