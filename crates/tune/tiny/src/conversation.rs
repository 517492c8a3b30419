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
    pub const ALL: [Self; 7] =
        [Self::Copy, Self::Lookup, Self::Select, Self::Bill, Self::Fill, Self::Compare, Self::Intent];

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

/// A question with its one right answer, and zero or more solved ones before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// What it exercises.
    pub task: Task,
    /// The instruction; empty for none.
    pub system: String,
    /// Solved examples, question and answer.
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

    /// The text of the prompt, template tokens included, up to where the answer starts.
    #[must_use]
    pub fn prompt(&self) -> String {
        let mut text = String::from("<bos>");
        if !self.system.is_empty() {
            text.push_str("<|system|>");
            text.push_str(&self.system);
        }
        for (user, answer) in &self.shots {
            text.push_str("<|user|>");
            text.push_str(user);
            text.push_str("<|assistant|>");
            text.push_str(answer);
            text.push_str("<eos>");
        }
        text.push_str("<|user|>");
        text.push_str(&self.user);
        text.push_str("<|assistant|>");
        text
    }
}
