//! Scores a model, an endpoint or a constant on held-out rows, through the gateway.

use super::report::{JobFailure, Report};
use crate::job_command::Task;
use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use pelton_client::{Client, escape};
use pelton_datasets::{DatasetRow, Split, pick, read_version};
use pelton_evaluation::{
    Completion, CompletionOptions, ConstantAnswer, Matching, RunConfig, RunProgress, Sample,
    SampleResult, Shot, Target, TargetError, run as run_samples, summarize, write_results,
};
use pelton_ids::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;

/// Requests in flight: enough to fill the engine's batch.
const CONCURRENCY: usize = 64;
/// Times that an item is asked before it counts as unscored.
const ATTEMPTS: u32 = 4;

#[derive(Deserialize)]
struct Spec {
    target: TargetSpec,
    suite: Suite,
    few_shot: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TargetSpec {
    Model {
        model: String,
        #[serde(default)]
        adapter: Option<String>,
    },
    Endpoint {
        endpoint: String,
    },
    Constant {
        #[expect(dead_code, reason = "its presence is what is told")]
        constant: bool,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Suite {
    Dataset {
        dataset: String,
        split: Split,
        #[serde(default)]
        limit: Option<u64>,
        #[serde(default)]
        seed: Option<u64>,
    },
    Builtin {
        #[expect(dead_code, reason = "there is one")]
        builtin: String,
        #[serde(default)]
        limit: Option<u64>,
    },
}

/// Asks a model or an endpoint through the gateway, as an application does.
struct ThroughGateway {
    client: Client,
    model: String,
}

#[async_trait]
impl Target for ThroughGateway {
    async fn complete(
        &self,
        messages: &[Value],
        options: &CompletionOptions,
    ) -> Result<Completion, TargetError> {
        let CompletionOptions { max_tokens, temperature, seed } = options;
        let body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "metadata": { "purpose": "evaluation" },
        });
        let begun = Instant::now();
        let answer = self.client.chat(&body).await.map_err(|error| TargetError {
            message: error.to_string(),
            retryable: error.is_transient(),
        })?;
        Ok(Completion {
            text: answer.text().to_owned(),
            latency_ms: begun.elapsed().as_secs_f64() * 1_000.0,
            prompt_tokens: answer.body["usage"]["prompt_tokens"].as_u64(),
            completion_tokens: answer.body["usage"]["completion_tokens"].as_u64(),
        })
    }
}

pub async fn run(task: Task) -> anyhow::Result<Value> {
    let spec: Spec = serde_json::from_value(task.spec.clone()).context("the job's spec")?;
    task.report.progress(0, None, "samples", "reading rows");
    let samples = samples(&task.client, &spec.suite).await?;
    let shots = shots(&task.client, &spec).await?;
    let target: Box<dyn Target> = match &spec.target {
        TargetSpec::Model { model, adapter } => {
            let model = adapter.as_ref().unwrap_or(model).clone();
            Box::new(ThroughGateway { client: task.client.clone(), model })
        }
        TargetSpec::Endpoint { endpoint } => {
            Box::new(ThroughGateway { client: task.client.clone(), model: endpoint.clone() })
        }
        TargetSpec::Constant { .. } => Box::new(majority(&task.client, &spec.suite).await?),
    };
    let config = RunConfig {
        concurrency: CONCURRENCY,
        attempts: ATTEMPTS,
        matching: Matching::Json,
        options: CompletionOptions::default(),
        shots,
    };
    let report = task.report;
    let results = score(target.as_ref(), &samples, &config, report).await?;
    publish(&task, &results).await
}

async fn score(
    target: &dyn Target,
    samples: &[Sample],
    config: &RunConfig,
    report: Report,
) -> anyhow::Result<Vec<SampleResult>> {
    let mut shown = Instant::now();
    let observe = |progress: RunProgress| {
        let RunProgress { done, total, correct } = progress;
        if done == total || shown.elapsed().as_millis() > 200 {
            shown = Instant::now();
            let message = format!("{correct} right so far");
            report.progress(done as u64, Some(total as u64), "samples", &message);
        }
        std::ops::ControlFlow::Continue(())
    };
    run_samples(target, samples, config, observe).await.context("the evaluation was stopped")
}

async fn publish(task: &Task, results: &[SampleResult]) -> anyhow::Result<Value> {
    let summary = summarize(results);
    if summary.unscored == summary.n {
        let first = results.iter().find_map(|result| result.error.clone()).unwrap_or_default();
        return Err(JobFailure {
            code: "no_answers",
            message: format!(
                "none of {} items got an answer; the first failed with: {first}",
                summary.n
            ),
            hint: "Check that the target answers a single request.".into(),
            retryable: false,
        }
        .into());
    }
    if summary.unscored > 0 {
        task.report.warn(&format!("{} of {} items got no answer", summary.unscored, summary.n));
    }
    let mut lines = Vec::new();
    write_results(results, &mut lines)?;
    let samples = task.client.upload(Bytes::from(lines)).await?;
    let path = format!("/api/v1/jobs/{}/outputs/evaluation", task.id);
    let output = json!({ "summary": summary, "samples": samples });
    let evaluation: Value = task.client.post(&path, &output).await?;
    Ok(json!({
        "evaluation_id": evaluation["id"],
        "n": summary.n,
        "unscored": summary.unscored,
        "exact_match": summary.exact_match,
    }))
}

/// The rows of one split of a dataset version, `name@version`.
pub async fn split_rows(
    client: &Client,
    dataset: &str,
    split: Split,
) -> anyhow::Result<Vec<DatasetRow>> {
    let (name, version) = dataset.rsplit_once('@').context("a dataset version is name@version")?;
    let name = escape(name);
    let path = format!("/api/v1/datasets/{name}/versions/{version}/download?split={split}");
    Ok(read_version(client.download(&path).await?.as_ref())?)
}

async fn samples(client: &Client, suite: &Suite) -> anyhow::Result<Vec<Sample>> {
    match suite {
        Suite::Dataset { dataset, split, limit, seed } => {
            let rows = split_rows(client, dataset, *split).await?;
            let limit = limit.map(usize::try_from).transpose()?;
            let chosen = pick(&rows, *split, limit, seed.unwrap_or(0));
            if chosen.is_empty() {
                let message = format!("the split `{split}` of {dataset} has no rows");
                return Err(JobFailure::input(message, "Choose another split.").into());
            }
            Ok(chosen.into_iter().map(sample).collect())
        }
        Suite::Builtin { limit, .. } => {
            let limit = limit.map_or(Ok(usize::MAX), usize::try_from)?;
            Ok(pelton_tiny::regression::items().into_iter().take(limit).map(regression).collect())
        }
    }
}

fn sample(row: &DatasetRow) -> Sample {
    Sample {
        row_hash: row.hash.clone(),
        messages: row.messages.clone(),
        expected: row.answer.clone(),
        group: row.label.clone(),
    }
}

fn regression(item: pelton_tiny::conversation::Conversation) -> Sample {
    let messages: Vec<Value> = item
        .messages()
        .iter()
        .map(|(role, content)| json!({ "role": role, "content": content }))
        .collect();
    let identity = json!({ "messages": messages, "answer": item.answer }).to_string();
    Sample {
        row_hash: Digest::of(identity.as_bytes()).to_string(),
        messages,
        expected: item.answer.clone(),
        group: Some(item.task.name().to_owned()),
    }
}

/// The examples shown before each question: the first training rows by seed.
async fn shots(client: &Client, spec: &Spec) -> anyhow::Result<Vec<Shot>> {
    let (Suite::Dataset { dataset, seed, .. }, 1..) = (&spec.suite, spec.few_shot) else {
        return Ok(vec![]);
    };
    let rows = split_rows(client, dataset, Split::Train).await?;
    let chosen = pick(&rows, Split::Train, Some(spec.few_shot as usize), seed.unwrap_or(0));
    Ok(chosen
        .into_iter()
        .map(|row| Shot { messages: row.messages.clone(), answer: row.answer.clone() })
        .collect())
}

/// The most frequent answer of the training rows.
async fn majority(client: &Client, suite: &Suite) -> anyhow::Result<ConstantAnswer> {
    let Suite::Dataset { dataset, .. } = suite else {
        let message = "a constant answer needs a dataset, whose training rows say which";
        return Err(JobFailure::input(message, "Give a dataset as the suite.").into());
    };
    let rows = split_rows(client, dataset, Split::Train).await?;
    let answers: Vec<&str> = rows.iter().map(|row| row.answer.as_str()).collect();
    ConstantAnswer::majority(answers)
        .ok_or_else(|| JobFailure::input(format!("{dataset} has no training rows"), "").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_client::ClientError;

    #[test]
    fn specs_say_what_is_scored() {
        let read = |target: Value| {
            let spec = json!({
                "target": target,
                "suite": { "dataset": "telco@1", "split": "test", "limit": null, "seed": null },
                "few_shot": 0,
            });
            serde_json::from_value::<Spec>(spec).expect("a spec").target
        };
        assert!(matches!(read(json!({ "model": "m@1", "adapter": "a@2" })),
            TargetSpec::Model { adapter: Some(adapter), .. } if adapter == "a@2"));
        assert!(matches!(read(json!({ "endpoint": "desk" })), TargetSpec::Endpoint { .. }));
        assert!(matches!(read(json!({ "constant": true })), TargetSpec::Constant { .. }));
    }

    #[test]
    fn an_unreachable_server_is_worth_another_try() {
        let gone = ClientError::Unreachable { url: "u".into(), reason: "r".into() };
        assert!(gone.is_transient());
    }
}
