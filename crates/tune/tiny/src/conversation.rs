//! One item of the corpus as the chat that the model will see, before tokens.

use serde::{Deserialize, Serialize};

/// What an item exercises; gates and the regression set report by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Repeat a text or a part of it.
    Copy,
    /// Find a key's value, or a value's key, in a list of pairs.
    Lookup,
    /// Find the record that a question describes and give its fields.
    Select,
    /// The same on invoices and receipts.
    Bill,
    /// Read a sentence into JSON with the keys asked for.
    Fill,
    /// Compare or add numbers.
    Compare,
    /// Name what a customer wants.
    Intent,
}

impl Task {
    /// All tasks, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Copy,
        Self::Lookup,
        Self::Select,
        Self::Bill,
        Self::Fill,
        Self::Compare,
        Self::Intent,
    ];

    /// The name that reports and files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Lookup => "lookup",
            Self::Select => "select",
            Self::Bill => "bill",
            Self::Fill => "fill",
            Self::Compare => "compare",
            Self::Intent => "intent",
        }
    }
}

/// A question with its one right answer, and zero or more answered ones before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// What it exercises.
    pub task: Task,
    /// The instruction; empty for none.
    pub system: String,
    /// Earlier questions and their answers.
    pub shots: Vec<(String, String)>,
    /// The question.
    pub user: String,
    /// The one right answer.
    pub answer: String,
}

impl Conversation {
    /// A conversation without solved examples.
    #[must_use]
    pub fn new(task: Task, system: String, user: String, answer: String) -> Self {
        Self { task, system, shots: Vec::new(), user, answer }
    }

    /// A conversation of several questions about one text; the last question is the one that is asked.
    #[must_use]
    pub fn from_turns(task: Task, system: String, mut turns: Vec<(String, String)>) -> Self {
        let (user, answer) = turns.pop().unwrap_or_default();
        Self { task, system, shots: turns, user, answer }
    }

    /// The first question, which identifies the conversation.
    #[must_use]
    pub fn first_user(&self) -> &str {
        self.shots.first().map_or(self.user.as_str(), |(user, _)| user.as_str())
    }

    /// The prompt as (role, content) pairs, in the order of a chat request.
    #[must_use]
    pub fn messages(&self) -> Vec<(&'static str, &str)> {
        let mut messages = Vec::new();
        if !self.system.is_empty() {
            messages.push(("system", self.system.as_str()));
        }
        for (user, answer) in &self.shots {
            messages.push(("user", user.as_str()));
            messages.push(("assistant", answer.as_str()));
        }
        messages.push(("user", self.user.as_str()));
        messages
    }

    /// The text of the prompt, template tokens included, up to where the answer starts.
    #[must_use]
    pub fn prompt(&self) -> String {
        let mut text = String::from("<bos>");
        for (role, content) in self.messages() {
            text.push_str(&format!("<|{role}|>{content}"));
            if role == "assistant" {
                text.push_str("<eos>");
            }
        }
        text.push_str("<|assistant|>");
        text
    }
}
