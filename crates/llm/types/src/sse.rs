//! Server-sent events: a reader that takes bytes as they come, and the writer's two forms.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use std::mem;

/// One event with the very bytes that made it, so that it can be passed on unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The bytes, blank line included.
    pub raw: Vec<u8>,
    /// The `event` field.
    pub event: Option<String>,
    /// The `data` lines joined; none in a frame of comments.
    pub data: Option<String>,
}

/// An event grew past the reader's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is longer than {limit} bytes")]
pub struct FrameTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// Cuts a byte stream into events. The frames' raw bytes and the rest add up to the input.
#[derive(Debug, Clone)]
pub struct SseReader {
    buffer: Vec<u8>,
    /// How much of the buffer was looked at.
    seen: usize,
    /// Where the current line starts.
    line: usize,
    /// The last byte looked at was a carriage return.
    after_return: bool,
    /// The frame has a line that is not empty.
    has_line: bool,
    limit: usize,
}

impl SseReader {
    /// A reader that refuses events longer than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), seen: 0, line: 0, after_return: false, has_line: false, limit }
    }

    /// Takes in bytes. Call [`SseReader::next_frame`] until it gives none before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event.
    ///
    /// # Errors
    /// [`FrameTooLong`] when the event under way is past the limit; the reader is spent then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLong> {
        while let Some(&byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            let ends_line = match byte {
                b'\n' if self.after_return => {
                    // The second half of a line end that was already counted.
                    self.after_return = false;
                    self.line = self.seen;
                    false
                }
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    true
                }
                _ => {
                    self.after_return = false;
                    false
                }
            };
            if !ends_line {
                continue;
            }
            let empty = self.line + 1 == self.seen;
            self.line = self.seen;
            if !empty {
                self.has_line = true;
            } else if self.has_line {
                return self.take().map(Some);
            }
        }
        if self.buffer.len() > self.limit {
            return Err(FrameTooLong { limit: self.limit });
        }
        Ok(None)
    }

    fn take(&mut self) -> Result<Frame, FrameTooLong> {
        let rest = self.buffer.split_off(self.seen);
        let raw = mem::replace(&mut self.buffer, rest);
        self.seen = 0;
        self.line = 0;
        self.has_line = false;
        if raw.len() > self.limit {
            return Err(FrameTooLong { limit: self.limit });
        }
        Ok(read_fields(raw))
    }

    /// Bytes that have not made a whole event.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }
}

fn read_fields(raw: Vec<u8>) -> Frame {
    let text = String::from_utf8_lossy(&raw);
    let mut event = None;
    let mut data: Option<String> = None;
    for line in text.split(['\n', '\r']) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name.trim_start_matches('\u{feff}') {
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "event" => event = Some(value.to_owned()),
            _ => {}
        }
    }
    drop(text);
    Frame { raw, event, data }
}

/// An event that carries `data`, one `data:` line for each of its lines.
#[must_use]
pub fn encode_data(data: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 8);
    for line in data.split('\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

/// The event that ends a stream of OpenAI's dialect.
#[must_use]
pub fn encode_done() -> Vec<u8> {
    encode_data("[DONE]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> (Vec<Frame>, Vec<u8>) {
        let mut reader = SseReader::new(1 << 16);
        let mut frames = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        (frames, reader.rest().to_vec())
    }

    fn data(pieces: &[&[u8]]) -> Vec<Option<String>> {
        read(pieces).0.into_iter().map(|frame| frame.data).collect()
    }

    #[test]
    fn line_ends_comments_and_fields() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            data(&[b"data: a\n\ndata:b\r\n\r\ndata: c\r\r"]),
            [some("a"), some("b"), some("c")]
        );
        assert_eq!(data(&[b": ping\n\ndata: x\ndata: y\n\n"]), [None, some("x\ny")]);
        assert_eq!(data(&[b"\n\n\ndata: a\n\n"]), [some("a")]);
        assert_eq!(data(&[b"\xef\xbb\xbfdata: a\n\n"]), [some("a")]);
        assert_eq!(read(&[b"event: e\ndata\n\n"]).0[0].event.as_deref(), Some("e"));
        assert_eq!(read(&[b"data: a\n\ndata: unfinished"]).1, b"data: unfinished");
    }

    #[test]
    fn a_long_event_is_refused_whole_or_not() {
        for input in [&b"data: 0123456789\n\n"[..], b"data: 0123456789"] {
            let mut reader = SseReader::new(8);
            reader.push(input);
            assert_eq!(reader.next_frame(), Err(FrameTooLong { limit: 8 }));
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_no_byte_is_lost(
            lines in prop::collection::vec("(data: |data:|: |event: |)[a-zä]{0,4}(\n|\r\n|\r|\n\n|\r\n\r\n)", 0..12),
            cuts in prop::collection::vec(0_usize..200, 0..6),
        ) {
            let input = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
            let (frames, rest) = read(&pieces);
            prop_assert_eq!(&frames, &read(&[&input]).0);
            let mut joined: Vec<u8> = frames.into_iter().flat_map(|frame| frame.raw).collect();
            joined.extend(rest);
            prop_assert_eq!(joined, input);
        }

        #[test]
        fn any_bytes_are_read_without_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let (frames, rest) = read(&[&input]);
            prop_assert_eq!(frames.iter().map(|frame| frame.raw.len()).sum::<usize>() + rest.len(), input.len());
        }

        #[test]
        fn reads_what_it_writes(text in "[a-zä \n:]{0,40}") {
            prop_assert_eq!(data(&[&encode_data(&text)]), [Some(text)]);
        }
    }
}
