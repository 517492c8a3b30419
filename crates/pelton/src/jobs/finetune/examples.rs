//! From rows to tokens. What cannot be learned from is refused with its row and the reason.

use crate::jobs::report::JobFailure;
use anyhow::Context as _;
use pelton_datasets::DatasetRow;
use pelton_tokens::{Message, TextCodec};
use pelton_trainer::{Example, Preference};
use serde::Deserialize;
use serde_json::Value;

/// Faults that are told one by one.
const TOLD: usize = 5;
/// Rows of a file of preferences at most.
const MOST_PAIRS: usize = 1_000_000;

/// Turns text into examples for one model.
pub struct Encoder<'a> {
    pub codec: &'a TextCodec,
    /// Tokens that the model takes.
    pub longest: usize,
    pub vocab: usize,
}

impl Encoder<'_> {
    /// Rows of a dataset, with the loss on their answers alone.
    pub fn rows(&self, rows: &[DatasetRow]) -> anyhow::Result<Vec<Example>> {
        let encoded = rows.iter().map(|row| {
            let example = messages(&row.messages)
                .and_then(|messages| self.example(&messages, &row.answer))
                .map_err(|error| format!("{error:#}"));
            (row.index, example)
        });
        all_or_faults("row", encoded)
    }

    /// Preference pairs, a JSON object a line: `messages` or `prompt`, `chosen`, `rejected`.
    pub fn preferences(&self, text: &[u8]) -> anyhow::Result<Vec<Preference>> {
        let text = std::str::from_utf8(text).map_err(|_| {
            JobFailure::input("the preferences are not UTF-8", "Save them as such.")
        })?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let pairs = lines.take(MOST_PAIRS + 1).map(|(index, line)| {
            let pair = self.preference(line).map_err(|error| format!("{error:#}"));
            (index as u64 + 1, pair)
        });
        let pairs = all_or_faults("line", pairs)?;
        if pairs.is_empty() || pairs.len() > MOST_PAIRS {
            let message = format!("{} preference pairs: give 1 to {MOST_PAIRS}", pairs.len());
            return Err(JobFailure::input(message, "Split the file.").into());
        }
        Ok(pairs)
    }

    fn preference(&self, line: &str) -> anyhow::Result<Preference> {
        let pair: PreferenceLine = serde_json::from_str(line)?;
        let messages = match pair.prompt {
            Prompt::Text(text) => vec![Message::new("user", text)],
            Prompt::Messages(list) => messages(&list)?,
        };
        let (chosen, rejected) = (pair.chosen.text()?, pair.rejected.text()?);
        anyhow::ensure!(chosen != rejected, "the chosen and the rejected answer are the same");
        Ok(Preference {
            chosen: self.example(&messages, &chosen)?,
            rejected: self.example(&messages, &rejected)?,
        })
    }

    pub fn example(&self, messages: &[Message], answer: &str) -> anyhow::Result<Example> {
        let rendered = self.codec.render_example(messages, answer)?;
        let tokens = rendered.tokens;
        anyhow::ensure!(
            tokens.len() <= self.longest,
            "{} tokens, but the base takes {}",
            tokens.len(),
            self.longest
        );
        if let Some(token) = tokens.iter().find(|token| **token as usize >= self.vocab) {
            anyhow::bail!("token {token} is none of the base's {}", self.vocab);
        }
        let loss_weights: Vec<f32> =
            rendered.is_answer.iter().map(|&answer| if answer { 1.0 } else { 0.0 }).collect();
        anyhow::ensure!(loss_weights.contains(&1.0), "the answer is empty");
        Ok(Example { tokens, loss_weights })
    }
}

#[derive(Deserialize)]
struct PreferenceLine {
    #[serde(alias = "messages")]
    prompt: Prompt,
    chosen: Answer,
    rejected: Answer,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Messages(Vec<Value>),
}

/// An answer, as text or as the one message of the assistant.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Text(String),
    Messages(Vec<Message>),
}

impl Answer {
    fn text(self) -> anyhow::Result<String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Messages(list) => {
                let [message] = list.as_slice() else {
                    anyhow::bail!("an answer of {} messages: give one", list.len());
                };
                let message = serde_json::to_value(message)?;
                let text = message["content"].as_str();
                Ok(text.context("an answer's message has no text")?.to_owned())
            }
        }
    }
}

fn messages(list: &[Value]) -> anyhow::Result<Vec<Message>> {
    Ok(serde_json::from_value(Value::Array(list.to_vec()))?)
}

/// What was encoded, or the first faults with their places.
fn all_or_faults<T>(
    place: &str,
    encoded: impl Iterator<Item = (u64, Result<T, String>)>,
) -> anyhow::Result<Vec<T>> {
    let (mut all, mut faults, mut count) = (Vec::new(), Vec::new(), 0);
    for (index, result) in encoded {
        match result {
            Ok(one) => all.push(one),
            Err(reason) => {
                count += 1;
                if faults.len() < TOLD {
                    faults.push(format!("{place} {index}: {reason}"));
                }
            }
        }
    }
    if count == 0 {
        return Ok(all);
    }
    let more = if count > TOLD { format!("; and {} more", count - TOLD) } else { String::new() };
    let message = format!("{count} cannot be trained on: {}{more}", faults.join("; "));
    Err(JobFailure::input(message, "Correct them or leave them out, then train again.").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str) -> String {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/pelton-tiny");
        let codec = TextCodec::load(&folder).unwrap();
        let encoder = Encoder { codec: &codec, longest: 40, vocab: codec.vocab_size() };
        match encoder.preferences(lines.as_bytes()) {
            Ok(pairs) => pairs
                .iter()
                .map(|Preference { chosen, rejected }| {
                    let answer = |example: &Example| {
                        let weighed = example.tokens.iter().zip(&example.loss_weights);
                        let own: Vec<u32> =
                            weighed.filter(|(_, w)| **w > 0.0).map(|(token, _)| *token).collect();
                        codec.decode(&own)
                    };
                    format!("{} > {}", answer(chosen), answer(rejected))
                })
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn pairs_are_read_in_the_forms_that_people_have() {
        let text = check(
            r#"{"messages":[{"role":"user","content":"which plan"}],"chosen":"red","rejected":"blue"}

{"prompt":"which plan","chosen":[{"role":"assistant","content":"red"}],"rejected":"blue","score":1}"#,
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("red") && lines[0].contains("> blue"), "{text}");
        assert_eq!(lines[0], lines[1]);
    }

    #[test]
    fn faults_are_told_with_their_lines() {
        let text = check(
            "{\"prompt\":\"a\",\"chosen\":\"x\",\"rejected\":\"x\"}\n{\"prompt\":\"a\"}\n\
             {\"prompt\":\"a\",\"chosen\":\"x\",\"rejected\":\"y\"}",
        );
        assert!(text.starts_with("2 cannot be trained on: line 1: the chosen and"), "{text}");
        assert!(text.contains("line 2: ") && text.contains("chosen"), "{text}");
        let long = format!(
            "{{\"prompt\":\"{}\",\"chosen\":\"x\",\"rejected\":\"y\"}}",
            "word ".repeat(60)
        );
        assert!(check(&long).contains("tokens, but the base takes 40"), "{}", check(&long));
        assert!(check("\n").contains("0 preference pairs"));
    }
}
