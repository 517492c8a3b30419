//! Folds a stream into the answer that the unary call would have given.

use crate::answer::{Answer, AnswerMessage, Choice, Chunk, ChunkChoice, Delta, ToolCallDelta};
use crate::message::{FunctionCall, ToolCall};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The answer so far. Grows to at most `limit` bytes of text; what comes later is counted as cut.
#[derive(Debug, Clone)]
pub struct Gather {
    answer: Answer,
    choices: BTreeMap<u32, Part>,
    room: usize,
    cut: bool,
}

#[derive(Debug, Clone, Default)]
struct Part {
    choice: Choice,
    calls: BTreeMap<u32, ToolCall>,
}

impl Gather {
    /// An empty answer that may grow to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { answer: Answer::default(), choices: BTreeMap::new(), room: limit, cut: false }
    }

    /// Takes in the next piece.
    pub fn add(&mut self, chunk: Chunk) {
        let Chunk { id, object: _, created, model, choices, usage, rest } = chunk;
        if self.answer.id.is_empty() {
            self.answer.id = id;
            self.answer.created = created;
        }
        if !model.is_empty() {
            self.answer.model = model;
        }
        if usage.is_some() {
            self.answer.usage = usage;
        }
        self.answer.rest.extend(rest.into_iter().filter(|(_, value)| !value.is_null()));
        for choice in choices {
            self.add_choice(choice);
        }
    }

    fn add_choice(&mut self, piece: ChunkChoice) {
        let ChunkChoice { index, delta, text, finish_reason, logprobs, rest } = piece;
        let Delta { role, content, tool_calls, rest: delta_rest } = delta;
        let mut budget = Budget { room: &mut self.room, cut: &mut self.cut };
        let part = self.choices.entry(index).or_default();
        part.choice.index = index;
        part.choice.rest.extend(rest);
        if finish_reason.is_some() {
            part.choice.finish_reason = finish_reason;
        }
        if let Some(logprobs) = logprobs {
            append_logprobs(&mut part.choice.logprobs, logprobs, &mut budget);
        }
        if let Some(text) = text {
            budget.append(part.choice.text.get_or_insert_default(), &text);
        }
        let message = &mut part.choice.message;
        if let Some(role) = role {
            message.role = role;
        }
        if let Some(text) = content {
            budget.append(message.content.get_or_insert_default(), &text);
        }
        for (name, value) in delta_rest {
            append_member(&mut message.rest, name, value, &mut budget);
        }
        for call in tool_calls {
            add_call(&mut part.calls, call, &mut budget);
        }
    }

    /// Whether every alternative seen so far has ended.
    #[must_use]
    pub fn finished(&self) -> bool {
        !self.choices.is_empty()
            && self.choices.values().all(|part| part.choice.finish_reason.is_some())
    }

    /// Whether text was left out because the limit was reached.
    #[must_use]
    pub const fn cut(&self) -> bool {
        self.cut
    }

    /// Whether nothing came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.answer.usage.is_none()
    }

    /// The answer as gathered.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        let Self { mut answer, choices, .. } = self;
        let plain = choices.values().any(|part| part.choice.text.is_some());
        answer.object = if plain { "text_completion" } else { "chat.completion" }.into();
        answer.choices = choices
            .into_values()
            .map(|Part { mut choice, calls }| {
                if choice.text.is_some() {
                    return choice;
                }
                choice.message.tool_calls = calls.into_values().collect();
                if choice.message.role.is_empty() {
                    choice.message.role = "assistant".into();
                }
                settle(&mut choice.message);
                choice
            })
            .collect();
        answer
    }
}

/// A message that only calls tools has null content, as in a unary answer.
fn settle(message: &mut AnswerMessage) {
    if !message.tool_calls.is_empty() && message.content.as_deref() == Some("") {
        message.content = None;
    }
}

struct Budget<'a> {
    room: &'a mut usize,
    cut: &'a mut bool,
}

impl Budget<'_> {
    fn append(&mut self, to: &mut String, text: &str) {
        let mut end = text.len().min(*self.room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        *self.cut |= end < text.len();
        *self.room -= end;
        to.push_str(&text[..end]);
    }

    fn takes(&mut self, bytes: usize) -> bool {
        let fits = bytes <= *self.room;
        if fits {
            *self.room -= bytes;
        } else {
            *self.cut = true;
        }
        fits
    }
}

fn add_call(calls: &mut BTreeMap<u32, ToolCall>, piece: ToolCallDelta, budget: &mut Budget<'_>) {
    let ToolCallDelta { index, id, kind, function, rest } = piece;
    if !calls.contains_key(&index) && !budget.takes(64) {
        return;
    }
    let call = calls.entry(index).or_insert_with(|| ToolCall {
        id: String::new(),
        kind: "function".into(),
        function: None,
        rest: Map::new(),
    });
    if let Some(id) = id {
        call.id = id;
    }
    if let Some(kind) = kind {
        call.kind = kind;
    }
    if let Some(piece) = function {
        let text = |name| piece.get(name).and_then(Value::as_str).unwrap_or("");
        let function = call
            .function
            .get_or_insert_with(|| FunctionCall { name: String::new(), arguments: String::new() });
        budget.append(&mut function.name, text("name"));
        budget.append(&mut function.arguments, text("arguments"));
    }
    call.rest.extend(rest);
}

/// Texts grow, anything else is replaced.
fn append_member(to: &mut Map<String, Value>, name: String, value: Value, budget: &mut Budget<'_>) {
    match (to.get_mut(&name), value) {
        (Some(Value::String(text)), Value::String(more)) => budget.append(text, &more),
        (Some(old), new) if !new.is_null() => *old = new,
        (Some(_), _) => {}
        (None, Value::String(text)) => {
            let mut kept = String::new();
            budget.append(&mut kept, &text);
            to.insert(name, Value::String(kept));
        }
        (None, value) => {
            to.insert(name, value);
        }
    }
}

/// `{"content":[…],"refusal":[…]}`: the lists are joined.
fn append_logprobs(to: &mut Option<Value>, more: Value, budget: &mut Budget<'_>) {
    let Value::Object(more) = more else { return };
    let size: usize = more.values().map(|list| list.as_array().map_or(0, Vec::len) * 64).sum();
    if !budget.takes(size) {
        return;
    }
    let Some(Value::Object(old)) = to else {
        *to = Some(Value::Object(more));
        return;
    };
    for (name, list) in more {
        match (old.get_mut(&name), list) {
            (Some(Value::Array(old)), Value::Array(list)) => old.extend(list),
            (_, Value::Null) => {}
            (_, list) => {
                old.insert(name, list);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gather(limit: usize, chunks: &[Value]) -> Gather {
        let mut gather = Gather::new(limit);
        for chunk in chunks {
            gather.add(serde_json::from_value(chunk.clone()).unwrap());
        }
        gather
    }

    #[test]
    fn a_stream_gives_the_unary_answer() {
        let gathered = gather(
            1 << 20,
            &[
                json!({"id":"a","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"fp",
                       "choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}),
                json!({"id":"a","choices":[{"index":0,"delta":{"content":"He","reasoning_content":"th"},
                       "logprobs":{"content":[{"token":"He"}],"refusal":null}}]}),
                json!({"id":"a","choices":[{"index":0,"delta":{"content":"llo","reasoning_content":"ink"},
                       "logprobs":{"content":[{"token":"llo"}],"refusal":null}}]}),
                json!({"id":"a","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}}]}),
                json!({"id":"a","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}),
                json!({"id":"a","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}),
                json!({"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],
                       "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}),
            ],
        );
        assert!(gathered.finished() && !gathered.cut());
        let unary = json!({
            "id":"a","object":"chat.completion","created":5,"model":"m",
            "choices":[
                {"index":0,"message":{"role":"assistant","content":"Hello","reasoning_content":"think"},
                 "finish_reason":"stop","logprobs":{"content":[{"token":"He"},{"token":"llo"}],"refusal":null}},
                {"index":1,"message":{"role":"assistant","content":null,
                 "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
                 "finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5},"system_fingerprint":"fp",
        });
        assert_eq!(serde_json::to_value(gathered.into_answer()).unwrap(), unary);
    }

    #[test]
    fn a_stream_of_plain_text_gives_the_unary_answer() {
        let gathered = gather(
            1 << 20,
            &[
                json!({"id":"a","object":"text_completion","created":5,"model":"m",
                       "choices":[{"index":0,"text":"On","finish_reason":null,
                                   "logprobs":{"tokens":["On"],"text_offset":[0]}}]}),
                json!({"id":"a","choices":[{"index":0,"text":"ce","finish_reason":"length",
                                            "logprobs":{"tokens":["ce"],"text_offset":[2]}}]}),
            ],
        );
        assert!(gathered.finished());
        let answer = gathered.into_answer();
        assert_eq!(answer.text(), "Once");
        let unary = json!({
            "id":"a","object":"text_completion","created":5,"model":"m",
            "choices":[{"index":0,"text":"Once","finish_reason":"length",
                        "logprobs":{"tokens":["On","ce"],"text_offset":[0,2]}}],
        });
        assert_eq!(serde_json::to_value(answer).unwrap(), unary);
    }

    #[test]
    fn usage_in_an_unknown_shape_is_none() {
        let gathered = gather(9, &[json!({"choices":[],"usage":{"tokens":3}})]);
        assert_eq!(gathered.into_answer().usage, None);
    }

    #[test]
    fn growth_is_bounded_and_said() {
        let chunk = json!({"choices":[{"index":0,"delta":{"content":"äöü"}}]});
        let gathered = gather(7, &[chunk.clone(), chunk]);
        assert!(gathered.cut() && !gathered.finished());
        assert_eq!(gathered.into_answer().text(), "äöü");
    }

    #[test]
    fn a_role_alone_is_not_content() {
        let has = |value: Value| serde_json::from_value::<Chunk>(value).unwrap().has_content();
        assert!(!has(
            json!({"choices":[{"delta":{"role":"assistant","content":"","refusal":null}}]})
        ));
        assert!(!has(json!({"choices":[],"usage":{"prompt_tokens":1}})));
        assert!(has(json!({"choices":[{"delta":{"content":"x"}}]})));
        assert!(has(json!({"choices":[{"delta":{"reasoning":"x"}}]})));
        assert!(has(json!({"choices":[{"delta":{},"finish_reason":"stop"}]})));
    }
}
