//! Lists of any length, page by page.

use clap::Args;
use pelton_client::{Client, ClientError, escape};
use serde_json::Value;

/// How much of a list.
#[derive(Debug, Clone, Copy, Args)]
pub struct Length {
    /// Items at most.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

/// A query that leaves out what was not given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<String>);

impl Query {
    pub(crate) fn with(mut self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        if let Some(value) = value {
            self.0.push(format!("{name}={}", escape(&value.to_string())));
        }
        self
    }

    pub(crate) fn on(&self, path: &str) -> String {
        if self.0.is_empty() { path.to_owned() } else { format!("{path}?{}", self.0.join("&")) }
    }
}

/// The items of a list, at most `most`.
pub(crate) async fn fetch(
    client: &Client,
    path: &str,
    query: &Query,
    most: usize,
) -> Result<Vec<Value>, ClientError> {
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = (most - items.len()).clamp(1, 200);
        let asked = query.clone().with("limit", Some(page)).with("cursor", cursor.as_ref());
        let mut answer: Value = client.get(&asked.on(path)).await?;
        if let Some(more) = answer.get_mut("items").and_then(Value::as_array_mut) {
            items.append(more);
        }
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= most {
            items.truncate(most);
            return Ok(items);
        }
    }
}
