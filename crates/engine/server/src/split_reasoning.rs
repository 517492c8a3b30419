//! Takes what a model thinks before it answers out of the answer's text, whole or as it comes.

/// Where reasoning begins and ends: Qwen 3, QwQ, DeepSeek R1 and those distilled from it.
pub(crate) const THINK: (&str, &str) = ("<think>", "</think>");

/// A part of what a model writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Reasoning(String),
    Answer(String),
}

/// Splits one answer, which begins with its reasoning or has none. White space around reasoning is left out.
#[derive(Debug)]
pub(crate) struct ReasoningSplitter {
    state: State,
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space and a part of the mark came yet.
    Undecided,
    /// In the reasoning, before its first letter.
    Begun,
    Reasoning,
    /// Behind the reasoning, before the answer's first letter.
    Ended,
    Answer,
}

impl ReasoningSplitter {
    /// `begun`: the prompt ends with the mark at which reasoning begins.
    pub(crate) fn new(begun: bool) -> Self {
        let state = if begun { State::Begun } else { State::Undecided };
        Self { state, held: String::new() }
    }

    /// More text, and what is clear with it.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        while self.step(&mut parts) {}
        parts
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> Option<Part> {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Undecided | State::Answer => some(held, Part::Answer),
            State::Begun | State::Reasoning => some(held.trim_end().to_owned(), Part::Reasoning),
            State::Ended => None,
        }
    }

    /// Takes what is clear in this state; tells whether another one follows.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        let (open, close) = THINK;
        match self.state {
            State::Undecided => {
                let begun = self.held.trim_start();
                if let Some(rest) = begun.strip_prefix(open) {
                    self.held = rest.to_owned();
                    self.state = State::Begun;
                } else if open.starts_with(begun) {
                    return false;
                } else {
                    self.state = State::Answer;
                }
                true
            }
            State::Begun | State::Ended => {
                self.held.drain(..self.held.len() - self.held.trim_start().len());
                if self.held.is_empty() {
                    return false;
                }
                self.state =
                    if self.state == State::Begun { State::Reasoning } else { State::Answer };
                true
            }
            State::Reasoning => {
                let end = self.held.find(close);
                let clear = match end {
                    Some(at) => &self.held[..at],
                    None => &self.held[..self.held.len() - begun_mark(&self.held, close)],
                };
                let clear = clear.trim_end().len();
                parts.extend(some(self.held[..clear].to_owned(), Part::Reasoning));
                self.held.drain(..end.map_or(clear, |at| at + close.len()));
                if end.is_some() {
                    self.state = State::Ended;
                }
                end.is_some()
            }
            State::Answer => {
                parts.extend(some(std::mem::take(&mut self.held), Part::Answer));
                false
            }
        }
    }
}

fn some(text: String, part: fn(String) -> Part) -> Option<Part> {
    (!text.is_empty()).then(|| part(text))
}

/// Bytes at the end of `text` that may be the beginning of `mark`.
pub(crate) fn begun_mark(text: &str, mark: &str) -> usize {
    (1..mark.len()).rev().find(|&length| text.ends_with(&mark[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(begun: bool, written: &str, reasoning: &str, answer: &str) {
        let letters: Vec<char> = written.chars().collect();
        for size in [1, 2, 3, 7, 1000] {
            let mut splitter = ReasoningSplitter::new(begun);
            let (mut found_reasoning, mut found_answer) = (String::new(), String::new());
            let mut take = |part| match part {
                Part::Reasoning(text) => found_reasoning.push_str(&text),
                Part::Answer(text) => found_answer.push_str(&text),
            };
            for part in letters.chunks(size) {
                splitter.push(&part.iter().collect::<String>()).into_iter().for_each(&mut take);
            }
            splitter.finish().into_iter().for_each(&mut take);
            assert_eq!(found_reasoning, reasoning, "{written} in parts of {size}");
            assert_eq!(found_answer, answer, "{written} in parts of {size}");
        }
    }

    #[test]
    fn reasoning_is_split_off_however_it_comes() {
        check(
            false,
            "<think>\nOne, é two.\n\nThree\n</think>\n\nFour.\n",
            "One, é two.\n\nThree",
            "Four.\n",
        );
        check(true, "One </thin two\n</think>\n\nFour.", "One </thin two", "Four.");
        check(false, "\n<think>\n\n</think>\n\nFour.", "", "Four.");
    }

    #[test]
    fn what_is_cut_off_in_its_reasoning_has_no_answer() {
        check(false, "<think>\nOne, two \n", "One, two", "");
        check(true, "One </think", "One </think", "");
        check(false, "<think>One</think> \n", "One", "");
    }

    #[test]
    fn an_answer_without_reasoning_is_left_alone() {
        for answer in ["Four.", " <b>Four</b> <think>no</think>", "\n\n", "<thin", ""] {
            check(false, answer, "", answer);
        }
    }
}
