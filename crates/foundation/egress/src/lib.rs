//! The one HTTP client for outbound requests, with its SSRF policy. Nothing else may open an outbound connection.
