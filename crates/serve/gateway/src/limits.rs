//! How long and how much.

use std::time::Duration;

/// Bounds of the request path. The time to connect is egress's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls served at once.
    pub max_in_flight: usize,
    /// Time of an attempt until the first content of a stream.
    pub first_token: Duration,
    /// Longest silence of an upstream inside a stream.
    pub idle: Duration,
    /// Longest time that a caller may leave a stream unread.
    pub stalled: Duration,
    /// Longest time of a whole call, attempts and waits included.
    pub total: Duration,
    /// Attempts after the first, before any content was sent.
    pub retries: u32,
    /// Longest wait before another attempt; an upstream that asks for more is given up.
    pub max_wait: Duration,
    /// Longest unary answer in bytes.
    pub max_answer_bytes: usize,
    /// Longest event of a stream in bytes.
    pub max_event_bytes: usize,
    /// How much text of a stream is kept for its record.
    pub max_capture_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: 1_024,
            first_token: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            stalled: Duration::from_secs(60),
            total: Duration::from_secs(600),
            retries: 2,
            max_wait: Duration::from_secs(5),
            max_answer_bytes: 32 << 20,
            max_event_bytes: 4 << 20,
            max_capture_bytes: 8 << 20,
        }
    }
}
