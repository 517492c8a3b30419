//! Tokens to text while they arrive: a character whose bytes are spread over several tokens is held
//! back until it is whole.

use crate::TokenBytes;

/// The state of one text being decoded.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    pending: Vec<u8>,
    started: bool,
}

impl Detokenizer {
    /// Appends `token`'s text to `text`, as far as it forms whole characters. Bytes that can never
    /// become UTF-8 turn into U+FFFD, as in a decoding of the whole.
    pub fn push(&mut self, table: &TokenBytes, token: u32, text: &mut String) {
        let mut bytes = table.get(token);
        if !self.started && !bytes.is_empty() {
            self.started = true;
            if table.strips_first_space() {
                bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            }
        }
        if self.pending.is_empty()
            && let Ok(whole) = std::str::from_utf8(bytes)
        {
            text.push_str(whole);
            return;
        }
        self.pending.extend_from_slice(bytes);
        let keep = incomplete_tail(&self.pending);
        let whole = self.pending.len() - keep;
        text.push_str(&String::from_utf8_lossy(&self.pending[..whole]));
        self.pending.drain(..whole);
    }

    /// Ends the text: what is still incomplete becomes U+FFFD.
    pub fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
    }
}

/// Length of an unfinished but so far valid character at the end of `bytes`.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(_) => return 0,
            Err(error) => match error.error_len() {
                None => return rest.len() - error.valid_up_to(),
                Some(bad) => rest = &rest[error.valid_up_to() + bad..],
            },
        }
    }
}
