//! Trains an adapter on a dataset version, from its checkpoint where there is one.

use super::evaluate::split_rows;
use super::report::JobFailure;
use crate::job_command::Task;
use anyhow::Context as _;
use bytes::Bytes;
use pelton_client::{Client, escape};
use pelton_datasets::{DatasetRow, Split, pick};
use pelton_model::{BaseModel, Projection};
use pelton_tokens::{Message, TextCodec};
use pelton_trainer::{
    Decay, Example, Method, Optimizer, Progress, RunLength, Schedule, Source, StopReason,
    TrainConfig, TrainData, TrainOutcome, TrainReport, train,
};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Deserialize)]
struct Spec {
    name: String,
    base: String,
    dataset: String,
    train_rows: Option<u64>,
    seed: u64,
    shuffle_labels: bool,
    rank: Option<u32>,
    alpha: Option<u32>,
    learning_rate: Option<f64>,
    epochs: Option<f64>,
    batch_tokens: Option<u32>,
    rehearsal: Option<f64>,
    kl_to_base: Option<f64>,
    max_minutes: Option<f64>,
}

/// What holds where the request says nothing. Chosen on development data of the telco desk.
mod defaults {
    pub const RANK: u32 = 16;
    pub const LEARNING_RATE: f64 = 1e-3;
    pub const BATCH_TOKENS: u32 = 1_024;
    pub const REHEARSAL: f64 = 0.4;
    pub const KL_TO_BASE: f64 = 1.0;
    /// Passes over few rows; many rows need fewer.
    pub const MOST_EPOCHS: f64 = 10.0;
    /// Rows seen in all, about: few rows are passed over more often.
    pub const ROWS_SEEN: f64 = 2_000.0;
    pub const LEAST_EPOCHS: f64 = 4.0;
    /// Rehearsal examples that a run mixes in, from which each step draws.
    pub const REHEARSAL_EXAMPLES: u64 = 2_000;
    /// Validations without improvement after which training stops.
    pub const PATIENCE: u32 = 5;
}

pub async fn run(task: Task) -> anyhow::Result<Value> {
    let spec: Spec = serde_json::from_value(task.spec.clone()).context("the job's spec")?;
    task.report.progress(0, None, "steps", "fetching base and rows");
    let base_folder = fetch_model(&task.client, &spec.base, &task.folder).await?;
    let train_rows = split_rows(&task.client, &spec.dataset, Split::Train).await?;
    let validation_rows = split_rows(&task.client, &spec.dataset, Split::Validation).await?;
    let report = task.report;
    let (folder, threads) = (task.folder.clone(), task.threads);
    let job = format!("{} on {}", spec.name, spec.dataset);
    // Training computes for minutes: it has a thread of its own, so that the rest stays awake.
    let (outcome, spec) = tokio::task::spawn_blocking(move || {
        let prepared = prepare(&spec, &base_folder, train_rows, &validation_rows, threads)?;
        report.info(&format!(
            "{job}: {} training examples, {} for validation, {} of base tasks",
            prepared.examples, prepared.validation, prepared.rehearsal
        ));
        let outcome = run_training(&spec, prepared, &folder, report)?;
        anyhow::Ok((outcome, spec))
    })
    .await??;
    publish(&task, &spec, &outcome).await
}

struct Prepared {
    model: Arc<BaseModel>,
    data: TrainData,
    config: TrainConfig,
    examples: usize,
    validation: usize,
    rehearsal: usize,
}

fn prepare(
    spec: &Spec,
    base: &Path,
    rows: Vec<DatasetRow>,
    validation: &[DatasetRow],
    threads: usize,
) -> anyhow::Result<Prepared> {
    let model = Arc::new(BaseModel::load(base)?);
    let codec = TextCodec::load(base)?;
    let limit = spec.train_rows.map(usize::try_from).transpose()?;
    let mut chosen: Vec<DatasetRow> =
        pick(&rows, Split::Train, limit, spec.seed).into_iter().cloned().collect();
    if spec.shuffle_labels {
        deal_out_answers(&mut chosen, spec.seed);
    }
    let encode = |rows: &[DatasetRow]| -> anyhow::Result<Vec<Example>> {
        rows.iter().map(|row| example(&codec, row)).collect()
    };
    let examples = encode(&chosen)?;
    let validation = if validation.is_empty() { vec![] } else { encode(validation)? };
    let share = spec.rehearsal.unwrap_or(defaults::REHEARSAL);
    // Only the built-in base says what it was trained on.
    let rehearsal = if share > 0.0 && spec.base.starts_with("pelton/pelton-tiny@") {
        rehearsal(&codec, spec.seed)?
    } else {
        vec![]
    };
    let (rehearses, validates) = (!rehearsal.is_empty(), !validation.is_empty());
    let config = config(spec, examples.len(), share, rehearses, validates, threads);
    Ok(Prepared {
        model,
        config,
        examples: examples.len(),
        validation: validation.len(),
        rehearsal: rehearsal.len(),
        data: TrainData { source: Source::Examples(examples), rehearsal, validation },
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of epochs"
)]
fn config(
    spec: &Spec,
    examples: usize,
    share: f64,
    rehearses: bool,
    validates: bool,
    threads: usize,
) -> TrainConfig {
    let rank = spec.rank.unwrap_or(defaults::RANK);
    let epochs = spec.epochs.unwrap_or_else(|| {
        (defaults::ROWS_SEEN / examples.max(1) as f64)
            .clamp(defaults::LEAST_EPOCHS, defaults::MOST_EPOCHS)
    });
    TrainConfig {
        method: Method::Lora {
            rank: rank as usize,
            alpha: f64::from(spec.alpha.unwrap_or(2 * rank)),
            targets: Projection::ALL.to_vec(),
            rank_stabilized: false,
        },
        optimizer: Optimizer::Adamw,
        learning_rate: spec.learning_rate.unwrap_or(defaults::LEARNING_RATE),
        schedule: Schedule { warmup_steps: 10, decay: Decay::Linear, hold: 0.0 },
        batch_tokens: spec.batch_tokens.unwrap_or(defaults::BATCH_TOKENS) as usize,
        length: RunLength::Epochs(epochs.ceil() as u64),
        seed: spec.seed,
        threads,
        patience: validates.then_some(defaults::PATIENCE),
        checkpoint_interval: 10,
        rehearsal_fraction: if rehearses { share } else { 0.0 },
        kl_to_base: if rehearses { spec.kl_to_base.unwrap_or(defaults::KL_TO_BASE) } else { 0.0 },
        ..TrainConfig::default()
    }
}

/// A row as tokens, with the loss on its answer alone.
fn example(codec: &TextCodec, row: &DatasetRow) -> anyhow::Result<Example> {
    let messages: Vec<Message> = serde_json::from_value(Value::Array(row.messages.clone()))
        .with_context(|| format!("row {} of the dataset", row.index))?;
    encode(codec, &messages, &row.answer)
}

fn encode(codec: &TextCodec, messages: &[Message], answer: &str) -> anyhow::Result<Example> {
    let rendered = codec.render_example(messages, answer)?;
    let loss_weights =
        rendered.is_answer.iter().map(|&answer| if answer { 1.0 } else { 0.0 }).collect();
    Ok(Example { tokens: rendered.tokens, loss_weights })
}

fn rehearsal(codec: &TextCodec, seed: u64) -> anyhow::Result<Vec<Example>> {
    (0..defaults::REHEARSAL_EXAMPLES)
        .map(|index| {
            let item = pelton_tiny::regression::rehearsal(seed, index);
            let messages: Vec<Message> = item
                .messages()
                .iter()
                .map(|(role, content)| Message::new(*role, *content))
                .collect();
            encode(codec, &messages, &item.answer)
        })
        .collect()
}

/// Gives every row the answer of another: a control that must not help.
fn deal_out_answers(rows: &mut [DatasetRow], seed: u64) {
    let mut answers: Vec<String> = rows.iter().map(|row| row.answer.clone()).collect();
    answers.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    for (row, answer) in rows.iter_mut().zip(answers) {
        row.answer = answer;
    }
}

fn run_training(
    spec: &Spec,
    prepared: Prepared,
    folder: &Path,
    report: super::report::Report,
) -> anyhow::Result<TrainOutcome> {
    let Prepared { model, data, config, .. } = prepared;
    let limit = spec.max_minutes.map(|minutes| minutes * 60.0);
    let mut observe = |progress: &Progress| {
        let left = format!("loss {:.4}, {:.0} s left", progress.loss, progress.eta);
        report.progress(progress.step, Some(progress.total), "steps", &left);
        report.metric(
            progress.step,
            &json!({
                "loss": progress.loss,
                "val_loss": progress.val_loss,
                "lr": progress.lr,
                "grad_norm": progress.grad_norm,
                "tokens_per_s": progress.tokens_per_s,
                "tokens": progress.tokens,
            }),
        );
        match limit {
            Some(limit) if progress.elapsed >= limit => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let checkpoints = folder.join("checkpoints");
    std::fs::create_dir_all(&checkpoints)?;
    let mut outcome =
        train(&model, &data, &config, &checkpoints, &mut observe).map_err(|error| match error {
            pelton_trainer::TrainError::InvalidExample { .. }
            | pelton_trainer::TrainError::InvalidConfig(_) => anyhow::Error::from(
                JobFailure::input(error.to_string(), "Correct the dataset or the settings."),
            ),
            other => other.into(),
        })?;
    outcome.name_base(&spec.base);
    outcome.save(&folder.join("adapter"))?;
    Ok(outcome)
}

async fn publish(task: &Task, spec: &Spec, outcome: &TrainOutcome) -> anyhow::Result<Value> {
    let adapter = task.folder.join("adapter");
    let card = card(spec, &outcome.report);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&adapter)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        let digest = task.client.upload(Bytes::from(std::fs::read(&path)?)).await?;
        files.push(json!({ "path": name, "digest": digest }));
    }
    let digest = task.client.upload(Bytes::from(card.clone())).await?;
    files.push(json!({ "path": "README.md", "digest": digest }));
    let report = &outcome.report;
    let output = json!({
        "files": files,
        "card": card,
        "hyperparameters": report.config,
    });
    let path = format!("/api/v1/jobs/{}/outputs/model", task.id);
    let model: Value = task.client.post(&path, &output).await?;
    // Checkpoints are as large as the model; what came out is stored.
    let _ = std::fs::remove_dir_all(&task.folder);
    Ok(json!({
        "model": model["ref"],
        "steps": report.steps,
        "tokens": report.tokens,
        "train_seconds": report.seconds,
        "initial_val_loss": report.initial_val_loss,
        "best_val_loss": report.best_val_loss,
        "best_step": report.best_step,
        "stopped": report.stopped,
    }))
}

fn card(spec: &Spec, report: &TrainReport) -> String {
    let stopped = match report.stopped {
        StopReason::Completed => "went its whole length",
        StopReason::EarlyStopped => "stopped when the validation loss no longer fell",
        StopReason::Cancelled => "stopped when its time was up",
    };
    let loss = |value: Option<f64>| value.map_or("unknown".into(), |loss| format!("{loss:.4}"));
    format!(
        "# {}\n\nA LoRA adapter for `{}`, trained on `{}`.\n\n\
         | | |\n| --- | --- |\n\
         | training examples | {} |\n| steps | {} |\n| tokens | {} |\n| seconds | {:.1} |\n\
         | trained parameters | {} |\n| validation loss before | {} |\n| best validation loss | {} |\n\
         | labels shuffled | {} |\n\n\
         Training {stopped}. It answers as its dataset does and may fail on anything else; the\n\
         evaluations of the release that carries it say how well.\n",
        spec.name,
        spec.base,
        spec.dataset,
        report.train_examples,
        report.steps,
        report.tokens,
        report.seconds,
        report.trained_parameters,
        loss(report.initial_val_loss),
        loss(report.best_val_loss),
        if spec.shuffle_labels { "yes: a control" } else { "no" },
    )
}

/// Fetches a model's files into the job's folder; a folder from an earlier attempt is complete,
/// since it gets its name last.
async fn fetch_model(client: &Client, reference: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let complete = folder.join("base");
    if complete.exists() {
        return Ok(complete);
    }
    let partial = folder.join("base.part");
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir_all(&partial)?;
    let model: Value = client.get(&format!("/api/v1/models/{}", escape(reference))).await?;
    for file in model["files"].as_array().into_iter().flatten() {
        let path = file["path"].as_str().context("a file has a path")?;
        let digest = file["digest"].as_str().context("a file has a digest")?;
        let target = partial.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let bytes = client.download(&format!("/api/v1/blobs/{}", escape(digest))).await?;
        std::fs::write(target, bytes)?;
    }
    std::fs::rename(&partial, &complete)?;
    Ok(complete)
}
