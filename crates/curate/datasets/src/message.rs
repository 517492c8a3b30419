//! Chat messages: what makes them usable, and what of them is text.

use serde_json::Value;

/// Checks that `messages` can be put before a model.
///
/// # Errors
/// Which message is wrong and how.
pub fn check_messages(messages: &[Value]) -> Result<(), String> {
    if messages.is_empty() {
        return Err("`messages` is empty".into());
    }
    for (place, message) in messages.iter().enumerate() {
        let Some(fields) = message.as_object() else {
            return Err(format!("`messages[{place}]` is not an object"));
        };
        let role = fields.get("role").and_then(Value::as_str);
        if !matches!(role, Some("system" | "developer" | "user" | "assistant" | "tool")) {
            return Err(format!(
                "`messages[{place}].role` should be system, developer, user, assistant or tool"
            ));
        }
        match fields.get("content") {
            None | Some(Value::Null | Value::String(_) | Value::Array(_)) => {}
            Some(_) => {
                return Err(format!("`messages[{place}].content` is neither text nor parts"));
            }
        }
    }
    if !messages.iter().any(|message| message.get("role").and_then(Value::as_str) == Some("user")) {
        return Err("`messages` holds no user message".into());
    }
    Ok(())
}

/// The text of one message: its content, the text of its parts, the arguments of its tool calls.
#[must_use]
pub fn message_text(message: &Value) -> String {
    let mut text = match message.get("content") {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    };
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = call.get("function");
        for field in ["name", "arguments"] {
            if let Some(part) = function.and_then(|f| f.get(field)).and_then(Value::as_str) {
                text.push('\n');
                text.push_str(part);
            }
        }
    }
    text
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// Roles and texts of all messages.
pub(crate) fn whole_input(messages: &[Value]) -> String {
    let lines: Vec<String> = messages
        .iter()
        .map(|message| format!("{}: {}", role(message), message_text(message)))
        .collect();
    lines.join("\n")
}

/// The texts of all messages but the instructions, which an application's rows share and which
/// would make all of them look alike.
pub(crate) fn own_input(messages: &[Value]) -> String {
    let lines: Vec<String> = messages
        .iter()
        .filter(|message| !matches!(role(message), "system" | "developer"))
        .map(message_text)
        .collect();
    lines.join("\n")
}
