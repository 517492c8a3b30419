//! Takes calls of tools out of an answer's text, whole or as it comes.

use pelton_llm_types::FunctionCall;
use serde_json::Value;

use crate::split_reasoning::begun_mark;
use crate::tool_format::{HERMES, ToolFormat};

/// A part of an answer's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// What the model thought before it answered.
    Reasoning(String),
    /// Text for the user.
    Text(String),
    /// A call, and which of the answer's calls it is, from 0.
    Call(usize, FunctionCall),
}

/// Splits one answer. Text that may become a call is held back until it is clear.
#[derive(Debug)]
pub(crate) struct ToolSplitter {
    format: ToolFormat,
    held: String,
    /// The answer began like text, so that nothing in it is a call; only where a call is a whole answer.
    plain: bool,
    calls: usize,
}

impl ToolSplitter {
    pub(crate) fn new(format: ToolFormat) -> Self {
        Self { format, held: String::new(), plain: false, calls: 0 }
    }

    /// More text, and what is clear with it.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        match self.format {
            ToolFormat::Hermes => self.take_marked(&mut pieces),
            ToolFormat::Mistral => self.take_plain('[', &mut pieces),
            ToolFormat::Llama3 => self.take_plain('{', &mut pieces),
        }
        pieces
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        let mut pieces = Vec::new();
        let inner = match self.format {
            // The end mark may be missing where the model stopped at it.
            ToolFormat::Hermes => held.strip_prefix(HERMES.0),
            ToolFormat::Mistral | ToolFormat::Llama3 => (!self.plain).then_some(held.as_str()),
        };
        match inner.and_then(calls_in) {
            Some(calls) => pieces.extend(calls.into_iter().map(|call| self.call(call))),
            None => self.text(&held, &mut pieces),
        }
        pieces
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    fn take_marked(&mut self, pieces: &mut Vec<Piece>) {
        let (start, end) = HERMES;
        loop {
            let Some(at) = self.held.find(start) else {
                let clear = self.held.len() - begun_mark(&self.held, start);
                let text: String = self.held.drain(..clear).collect();
                self.text(&text, pieces);
                return;
            };
            let text: String = self.held.drain(..at).collect();
            self.text(&text, pieces);
            let Some(length) = self.held.find(end) else { return };
            let whole: String = self.held.drain(..length + end.len()).collect();
            match calls_in(&whole[start.len()..length]) {
                Some(calls) => pieces.extend(calls.into_iter().map(|call| self.call(call))),
                // What does not parse is shown as it was written.
                None => pieces.push(Piece::Text(whole)),
            }
        }
    }

    fn take_plain(&mut self, opening: char, pieces: &mut Vec<Piece>) {
        if !self.plain {
            match self.held.trim_start().chars().next() {
                Some(first) => self.plain = first != opening,
                None => return,
            }
        }
        if self.plain {
            let text = std::mem::take(&mut self.held);
            self.text(&text, pieces);
        }
    }

    fn text(&self, text: &str, pieces: &mut Vec<Piece>) {
        // Line breaks between calls are part of the format.
        if !text.is_empty() && (self.calls == 0 || !text.trim().is_empty()) {
            pieces.push(Piece::Text(text.to_owned()));
        }
    }

    fn call(&mut self, call: FunctionCall) -> Piece {
        self.calls += 1;
        Piece::Call(self.calls - 1, call)
    }
}

/// One call, or a list of them; none where the text is anything else.
fn calls_in(text: &str) -> Option<Vec<FunctionCall>> {
    match serde_json::from_str(text.trim()).ok()? {
        Value::Array(calls) if !calls.is_empty() => calls.into_iter().map(call_of).collect(),
        call => Some(vec![call_of(call)?]),
    }
}

fn call_of(value: Value) -> Option<FunctionCall> {
    let Value::Object(mut call) = value else { return None };
    let name = call.get("name")?.as_str().filter(|name| !name.is_empty())?.to_owned();
    let arguments = match call.remove("arguments").or_else(|| call.remove("parameters"))? {
        Value::String(text) => text,
        arguments @ Value::Object(_) => arguments.to_string(),
        _ => return None,
    };
    Some(FunctionCall { name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(index: usize, name: &str, arguments: &str) -> Piece {
        Piece::Call(index, FunctionCall { name: name.into(), arguments: arguments.into() })
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    /// The pieces of an answer that comes in parts of `size` characters, neighboring texts joined.
    fn split(format: ToolFormat, answer: &str, size: usize) -> Vec<Piece> {
        let mut splitter = ToolSplitter::new(format);
        let letters: Vec<char> = answer.chars().collect();
        let mut pieces: Vec<Piece> = Vec::new();
        for part in letters.chunks(size) {
            pieces.extend(splitter.push(&part.iter().collect::<String>()));
        }
        pieces.extend(splitter.finish());
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(more)) => before.push_str(&more),
                (_, piece) => joined.push(piece),
            }
        }
        joined
    }

    fn check(format: ToolFormat, answer: &str, expected: &[Piece]) {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(split(format, answer, size), expected, "{answer} in parts of {size}");
        }
    }

    #[test]
    fn calls_between_marks_are_taken_out_however_the_text_comes() {
        let two = "Let me see.\n<tool_call>\n{\"name\": \"find\", \"arguments\": {\"id\": 4, \"é\": 1.0}}\n\
                   </tool_call>\n<tool_call>{\"name\":\"stop\",\"arguments\":\"{}\"}</tool_call>";
        check(
            ToolFormat::Hermes,
            two,
            &[text("Let me see.\n"), call(0, "find", r#"{"id":4,"é":1.0}"#), call(1, "stop", "{}")],
        );
        check(ToolFormat::Hermes, "a < b <tool", &[text("a < b <tool")]);
        let open = "<tool_call>{\"name\": \"find\", \"arguments\": {}}";
        check(ToolFormat::Hermes, open, &[call(0, "find", "{}")]);
    }

    #[test]
    fn what_is_no_call_stays_text() {
        for answer in [
            "<tool_call>no JSON</tool_call>",
            "<tool_call>{\"name\": 3, \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"f\"}</tool_call> and more",
        ] {
            check(ToolFormat::Hermes, answer, &[text(answer)]);
        }
        check(ToolFormat::Llama3, "{\"answer\": 4}", &[text("{\"answer\": 4}")]);
        check(ToolFormat::Llama3, "Hello {\"name\": 1}", &[text("Hello {\"name\": 1}")]);
        check(ToolFormat::Mistral, "[1, 2]", &[text("[1, 2]")]);
        check(ToolFormat::Mistral, "", &[]);
    }

    #[test]
    fn whole_answers_may_be_calls() {
        check(
            ToolFormat::Llama3,
            " {\"name\": \"f\", \"parameters\": {\"x\": [1]}}",
            &[call(0, "f", r#"{"x":[1]}"#)],
        );
        check(
            ToolFormat::Mistral,
            "[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": {}}]",
            &[call(0, "f", "{}"), call(1, "g", "{}")],
        );
    }
}
