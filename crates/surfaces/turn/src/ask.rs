//! The application: asks through the gateway as customers do, and tells what it knows of the
//! answers.

use crate::steps::Steps;
use crate::telco::Item;
use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use pelton_client::{ChatAnswer, Client, ClientError};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Customers who ask at the same time.
const AT_ONCE: usize = 48;
/// How often a busy server is asked again.
const ATTEMPTS: u32 = 8;

/// What became of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Asked {
    /// Questions answered.
    pub(crate) answered: u64,
    /// Questions without an answer.
    pub(crate) failed: u64,
    /// Answers that were right, of all answered.
    pub(crate) right: u64,
    /// Answers that the application checked and gave feedback on.
    pub(crate) checked: u64,
    /// Of those, the corrected ones.
    pub(crate) corrected: u64,
}

impl Asked {
    const fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.right += other.right;
        self.checked += other.checked;
        self.corrected += other.corrected;
    }
}

/// Asks `items` at `endpoint`, many at a time. The application checks an item's answer when
/// `checks` says so: a right one gets score 1, a wrong one score 0 and the right answer.
pub(crate) async fn ask_all(
    client: &Client,
    endpoint: &str,
    items: Vec<Item>,
    checks: impl Fn(usize) -> bool,
    steps: &mut Steps,
) -> anyhow::Result<Asked> {
    let total = items.len() as u64;
    let mut sum = Asked::default();
    let mut answers = stream::iter(items.into_iter().enumerate().map(|(place, item)| {
        let checked = checks(place);
        async move { ask(client, endpoint, &item, checked).await }
    }))
    .buffer_unordered(AT_ONCE);
    while let Some(asked) = answers.next().await {
        sum.add(asked?);
        let done = sum.answered + sum.failed;
        steps.at(done, total, &format!("{} right, {} corrected", sum.right, sum.corrected));
    }
    Ok(sum)
}

async fn ask(client: &Client, endpoint: &str, item: &Item, checked: bool) -> anyhow::Result<Asked> {
    let body = json!({
        "model": endpoint,
        "messages": messages(item),
        "metadata": { "app": "telco-desk", "kind": kind(item) },
    });
    let answer = match patiently(|| client.chat(&body)).await {
        Ok(answer) => answer,
        // The gateway's refusals are part of the traffic; a server that is gone is not.
        Err(error @ ClientError::Refused { .. }) if !error.is_transient() => {
            return Err(error).context("the endpoint refuses");
        }
        Err(ClientError::Refused { .. }) => return Ok(Asked { failed: 1, ..Asked::default() }),
        Err(error) => return Err(error.into()),
    };
    let right = is_right(&item.answer, answer.text());
    if checked {
        tell(client, item, &answer, right).await?;
    }
    Ok(Asked {
        answered: 1,
        failed: 0,
        right: u64::from(right),
        checked: u64::from(checked),
        corrected: u64::from(checked && !right),
    })
}

async fn tell(
    client: &Client,
    item: &Item,
    answer: &ChatAnswer,
    right: bool,
) -> anyhow::Result<()> {
    let inference = answer
        .inference_id
        .as_deref()
        .context("the answer carries no x-pelton-inference-id: is this a Pelton server?")?;
    let feedback = json!({
        "inference_id": inference,
        "score": if right { 1.0 } else { 0.0 },
        "label": kind(item),
        "correction": if right { Value::Null } else { item.answer.as_str().into() },
        "source": "application",
    });
    let _stored: Value = patiently(|| client.post("/api/v1/feedback", &feedback)).await?;
    Ok(())
}

/// Asks again while the server is away or busy.
pub(crate) async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// The messages of a question.
pub(crate) fn messages(item: &Item) -> Value {
    json!([
        { "role": "system", "content": item.system },
        { "role": "user", "content": item.prompt },
    ])
}

/// The name of a question's kind.
pub(crate) fn kind(item: &Item) -> Value {
    serde_json::to_value(item.kind).unwrap_or(Value::Null)
}

/// The same text, or the same JSON.
fn is_right(wanted: &str, answer: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    wanted == answer.trim() || value(wanted).is_some_and(|json| Some(json) == value(answer))
}
