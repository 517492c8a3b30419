//! Reads along with a stream: where its content begins, what it adds up to, how it ends.

use pelton_llm_types::{Chunk, ErrorBody, Frame, Gather};

/// What an event of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Nothing yet that could not be taken back.
    Preamble,
    /// Part of the answer.
    Content,
    /// The usage that only the gateway asked for.
    Hidden,
    /// The end.
    Done,
    /// An error in the upstream's words.
    Error(String),
}

#[derive(Debug, Clone)]
pub(crate) struct StreamWatch {
    gather: Gather,
    hide_usage: bool,
    done: bool,
}

impl StreamWatch {
    pub(crate) fn new(capture: usize, hide_usage: bool) -> Self {
        Self { gather: Gather::new(capture), hide_usage, done: false }
    }

    pub(crate) fn see(&mut self, frame: &Frame) -> Sight {
        let Some(data) = &frame.data else { return Sight::Preamble };
        if data.trim() == "[DONE]" {
            self.done = true;
            return Sight::Done;
        }
        let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
            // Passed on unread: another client may know it.
            return Sight::Content;
        };
        if chunk.rest.get("error").is_some_and(|error| !error.is_null()) {
            let message = ErrorBody::message_in(data.as_bytes());
            return Sight::Error(message.unwrap_or_else(|| "an error without a message".into()));
        }
        let content = chunk.has_content();
        let hidden = self.hide_usage && chunk.choices.is_empty() && chunk.usage.is_some();
        self.gather.add(chunk);
        match (hidden, content) {
            (true, _) => Sight::Hidden,
            (false, true) => Sight::Content,
            (false, false) => Sight::Preamble,
        }
    }

    /// Whether the answer is whole: the end was seen, or every alternative has ended.
    pub(crate) fn whole(&self) -> bool {
        self.done || self.gather.finished()
    }

    pub(crate) const fn done(&self) -> bool {
        self.done
    }

    pub(crate) fn into_gathered(self) -> Gather {
        self.gather
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_llm_types::{SseReader, encode_data};

    fn sights(hide_usage: bool, data: &[&str]) -> (Vec<Sight>, StreamWatch) {
        let mut reader = SseReader::new(1 << 16);
        let mut watch = StreamWatch::new(1 << 16, hide_usage);
        let mut sights = Vec::new();
        for data in data {
            reader.push(&encode_data(data));
            while let Some(frame) = reader.next_frame().unwrap() {
                sights.push(watch.see(&frame));
            }
        }
        (sights, watch)
    }

    #[test]
    fn kinds_of_events() {
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let (seen, watch) = sights(
            true,
            &[
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                r#"{"choices":[{"delta":{"content":"a"}}]}"#,
                "not json",
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
                usage,
                "[DONE]",
            ],
        );
        use Sight::{Content, Done, Hidden, Preamble};
        assert_eq!(seen, [Preamble, Content, Content, Content, Hidden, Done]);
        assert!(watch.done());
        assert_eq!(
            watch.into_gathered().into_answer().usage.map(|usage| usage.prompt_tokens),
            Some(1)
        );
        assert_eq!(sights(false, &[usage]).0, [Preamble]);
        let error = sights(true, &[r#"{"error":{"message":"busy"}}"#]).0;
        assert_eq!(error, [Sight::Error("busy".into())]);
    }
}
