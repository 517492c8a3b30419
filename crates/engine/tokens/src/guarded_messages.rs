//! Messages in which users and tools cannot spell special tokens.
//!
//! A chat template pastes messages into one text, and the tokenizer then finds special tokens anywhere
//! in it: a user who writes `<|system|>` would open a system turn. A mark inside each such spelling
//! survives the template; the text is then encoded piece by piece between the marks, where no special
//! token is left.

use std::borrow::Cow;

use crate::Message;

/// Messages with marks, where any were needed.
#[derive(Debug)]
pub(crate) struct GuardedMessages<'a> {
    pub(crate) messages: Cow<'a, [Message]>,
    /// The character that stands for "no token across here".
    pub(crate) mark: Option<char>,
}

impl<'a> GuardedMessages<'a> {
    pub(crate) fn new(messages: &'a [Message], special: &[String]) -> Self {
        let forges = |message: &Message| {
            matches!(message.role.as_str(), "user" | "tool" | "function")
                && special.iter().any(|token| message.content.contains(token.as_str()))
        };
        if !messages.iter().any(forges) {
            return Self { messages: Cow::Borrowed(messages), mark: None };
        }
        // A character for private use that nobody in this conversation uses.
        let used = |mark: char| messages.iter().any(|message| message.content.contains(mark));
        let mark = ('\u{e000}'..='\u{f8ff}').find(|&mark| !used(mark)).unwrap_or('\u{f8ff}');
        let guarded = messages.iter().cloned().map(|mut message| {
            if forges(&message) {
                for token in special {
                    let first = token.chars().next().map_or(0, char::len_utf8);
                    let (head, tail) = token.split_at(first);
                    let split = format!("{head}{mark}{tail}");
                    message.content = message.content.replace(token.as_str(), &split);
                }
            }
            message
        });
        Self { messages: guarded.collect(), mark: Some(mark) }
    }
}
