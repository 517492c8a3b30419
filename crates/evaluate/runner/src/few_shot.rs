//! Examples before the question.

use serde_json::{Value, json};

/// A worked example.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// Its messages; instructions among them are left out.
    pub messages: Vec<Value>,
    /// Its answer.
    pub answer: String,
}

fn is_instruction(message: &Value) -> bool {
    matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
}

/// `messages` with the examples between its instructions and its conversation.
#[must_use]
pub fn with_shots(messages: &[Value], shots: &[Shot]) -> Vec<Value> {
    let lead = messages.iter().take_while(|message| is_instruction(message)).count();
    let (instructions, conversation) = messages.split_at(lead);
    let mut all = instructions.to_vec();
    for shot in shots {
        all.extend(shot.messages.iter().filter(|message| !is_instruction(message)).cloned());
        all.push(json!({"role": "assistant", "content": shot.answer}));
    }
    all.extend_from_slice(conversation);
    all
}
