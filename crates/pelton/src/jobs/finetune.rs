//! Trains an adapter or all weights on a dataset version or on preference pairs, from its checkpoint where there
//! is one.

mod examples;
pub(super) mod preflight;

use self::examples::Encoder;
use super::evaluate::split_rows;
use super::report::{JobFailure, Report};
use crate::job_command::Task;
use anyhow::Context as _;
use bytes::Bytes;
use pelton_client::{Client, escape};
use pelton_datasets::{DatasetRow, Split, pick};
use pelton_finetune::{
    BasePrecision, FinetuneMethod, FinetuneSpec, Hyperparameters, Targets, TrainingRows,
};
use pelton_model::{BaseModel, DecoderConfig, Layout, Projection};
use pelton_tokens::{Message, TextCodec};
use pelton_trainer::{
    Base, Decay, Example, Method, Optimizer, Progress, QuantizedBase, RunLength, Schedule,
    StopReason, TrainConfig, TrainData, TrainError, TrainOutcome, TrainReport, Trained, teach,
    train,
};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Tokens of a teacher's distribution that are kept.
const TEACHER_TOKENS: usize = 32;
/// Rehearsal examples that a run mixes in, from which each step draws.
const REHEARSAL_EXAMPLES: u64 = 2_000;

pub async fn run(task: Task) -> anyhow::Result<Value> {
    let spec: FinetuneSpec = serde_json::from_value(task.spec.clone()).context("the job's spec")?;
    task.report.progress(0, None, "steps", "fetching base and rows");
    let base = fetch_model(&task.client, &spec.base, &task.folder.join("base")).await?;
    let teacher = match &spec.teacher {
        Some(teacher) => {
            Some(fetch_model(&task.client, teacher, &task.folder.join("teacher")).await?)
        }
        None => None,
    };
    let fetched = Fetched { base, teacher, rows: fetch_rows(&task.client, &spec).await? };
    let report = task.report;
    let (folder, threads) = (task.folder.clone(), task.threads);
    // Training computes for minutes: it has a thread of its own, so that the rest stays awake.
    let (outcome, spec) = tokio::task::spawn_blocking(move || {
        let prepared = prepare(&spec, &fetched, threads)?;
        report.info(&prepared.describe(&spec));
        let outcome = run_training(&spec, &fetched, prepared, &folder, report)?;
        anyhow::Ok((outcome, spec))
    })
    .await??;
    let model = publish(&task, &card(&spec, &outcome), &outcome).await?;
    let report = &outcome.report;
    Ok(json!({
        "model": model,
        "steps": report.steps,
        "tokens": report.tokens,
        "train_seconds": report.seconds,
        "initial_val_loss": report.initial_val_loss,
        "best_val_loss": report.best_val_loss,
        "best_step": report.best_step,
        "stopped": report.stopped,
    }))
}

/// What the run learns from, as it came.
pub(super) enum Rows {
    Answers { train: Vec<DatasetRow>, validation: Vec<DatasetRow> },
    Preferences(Bytes),
}

pub(super) struct Fetched {
    pub(super) base: PathBuf,
    pub(super) teacher: Option<PathBuf>,
    pub(super) rows: Rows,
}

pub(super) async fn fetch_rows(client: &Client, spec: &FinetuneSpec) -> anyhow::Result<Rows> {
    if let Some(digest) = &spec.preferences {
        let path = format!("/api/v1/blobs/{}", escape(digest));
        return Ok(Rows::Preferences(client.download(&path).await?));
    }
    let dataset = spec.dataset.as_deref().context("the request names no dataset")?;
    Ok(Rows::Answers {
        train: split_rows(client, dataset, Split::Train).await?,
        validation: split_rows(client, dataset, Split::Validation).await?,
    })
}

pub(super) struct Prepared {
    pub(super) model: DecoderConfig,
    pub(super) data: TrainData,
    pub(super) config: TrainConfig,
    pub(super) examples: usize,
}

impl Prepared {
    /// The settings of a run with other hyperparameters on the same data.
    pub(super) fn config_for(&self, spec: &FinetuneSpec) -> TrainConfig {
        let rows = training_rows(self.examples, &self.data);
        let config = config(spec.method, Hyperparameters::of(spec, rows), self.config.threads);
        TrainConfig { memory_limit: self.config.memory_limit, ..config }
    }

    pub(super) fn describe(&self, spec: &FinetuneSpec) -> String {
        let kind =
            if spec.preferences.is_some() { "preference pairs" } else { "training examples" };
        let held_out = (self.examples as f64 * self.config.validation_fraction).round() as usize;
        format!(
            "{} on {}: {} {kind}, {} for validation, {} of base tasks",
            spec.name,
            spec.source(),
            self.examples - held_out,
            self.data.validation.len() + held_out,
            self.data.rehearsal.len()
        )
    }
}

pub(super) fn prepare(
    spec: &FinetuneSpec,
    fetched: &Fetched,
    threads: usize,
) -> anyhow::Result<Prepared> {
    let model = DecoderConfig::load(&fetched.base)?;
    let codec = TextCodec::load(&fetched.base)?;
    let (longest, vocab) = (model.max_position_embeddings, model.vocab_size);
    let encoder = Encoder { codec: &codec, longest, vocab };
    let mut data = match &fetched.rows {
        Rows::Preferences(text) => TrainData::preferences(encoder.preferences(text)?),
        Rows::Answers { train, validation } => {
            let mut data = TrainData::examples(encoder.rows(&chosen(spec, train)?)?);
            data.validation = encoder.rows(validation)?;
            data
        }
    };
    let examples = data.examples_or_pairs();
    // Only the built-in base says what it was trained on.
    if Hyperparameters::wants_rehearsal(spec) && spec.base.starts_with("pelton/pelton-tiny@") {
        data.rehearsal = rehearsal(&encoder, spec.seed)?;
    }
    let rows = training_rows(examples, &data);
    let config = config(spec.method, Hyperparameters::of(spec, rows), threads);
    Ok(Prepared { model, config, examples, data })
}

/// The rows that the request asks for.
pub(super) fn chosen(spec: &FinetuneSpec, rows: &[DatasetRow]) -> anyhow::Result<Vec<DatasetRow>> {
    let limit = spec.train_rows.map(usize::try_from).transpose()?;
    let mut chosen: Vec<DatasetRow> =
        pick(rows, Split::Train, limit, spec.seed).into_iter().cloned().collect();
    if spec.shuffle_labels {
        deal_out_answers(&mut chosen, spec.seed);
    }
    Ok(chosen)
}

fn training_rows(examples: usize, data: &TrainData) -> TrainingRows {
    TrainingRows {
        examples: examples as u64,
        validates: !data.validation.is_empty(),
        rehearses: !data.rehearsal.is_empty(),
    }
}

fn projections(targets: Targets) -> &'static [Projection] {
    use Projection::{Down, Gate, Key, Output, Query, Up, Value};
    match targets {
        Targets::All => &Projection::ALL,
        Targets::Attention => &[Query, Key, Value, Output],
        Targets::Mlp => &[Gate, Up, Down],
    }
}

fn config(method: FinetuneMethod, numbers: Hyperparameters, threads: usize) -> TrainConfig {
    let Hyperparameters {
        rank,
        targets,
        alpha,
        rank_stabilized,
        learning_rate,
        warmup_steps,
        betas,
        epsilon,
        weight_decay,
        clip_norm,
        batch_tokens,
        epochs,
        seed,
        patience,
        held_out,
        rehearsal,
        kl_to_base,
        preference_beta,
        distillation_weight,
        distillation_temperature,
    } = numbers;
    let targets = projections(targets).to_vec();
    TrainConfig {
        method: match method {
            FinetuneMethod::Full => Method::Full,
            FinetuneMethod::Lora => {
                Method::Lora { rank: rank as usize, alpha, targets, rank_stabilized }
            }
        },
        optimizer: Optimizer::Adamw,
        learning_rate,
        schedule: Schedule { warmup_steps, decay: Decay::Linear, hold: 0.0 },
        betas,
        epsilon,
        weight_decay,
        clip_norm,
        batch_tokens: batch_tokens as usize,
        length: RunLength::Epochs(epochs),
        seed,
        threads,
        patience,
        checkpoint_interval: 10,
        rehearsal_fraction: rehearsal,
        kl_to_base,
        validation_fraction: held_out,
        preference_beta,
        distillation_weight,
        distillation_temperature,
        ..TrainConfig::default()
    }
}

fn rehearsal(encoder: &Encoder<'_>, seed: u64) -> anyhow::Result<Vec<Example>> {
    (0..REHEARSAL_EXAMPLES)
        .map(|index| {
            let item = pelton_tiny::regression::rehearsal(seed, index);
            let messages: Vec<Message> = item
                .messages()
                .iter()
                .map(|(role, content)| Message::new(*role, *content))
                .collect();
            encoder.example(&messages, &item.answer)
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

/// The base as the run needs it.
pub(super) enum Loaded {
    Floats(BaseModel),
    Bytes(QuantizedBase),
}

impl Loaded {
    pub(super) fn load(folder: &Path, precision: BasePrecision) -> Result<Self, TrainError> {
        match precision {
            BasePrecision::F32 => Ok(Self::Floats(BaseModel::load(folder)?)),
            BasePrecision::Q8_0 => Ok(Self::Bytes(QuantizedBase::load(folder)?)),
        }
    }

    pub(super) fn base(&self) -> Base<'_> {
        match self {
            Self::Floats(model) => model.into(),
            Self::Bytes(base) => base.into(),
        }
    }
}

/// Memory that the job takes before or after the run: the teacher with its logits; or, to merge, the base, its
/// changed copy and the file twice.
fn bytes_beside(
    spec: &FinetuneSpec,
    fetched: &Fetched,
    prepared: &Prepared,
) -> anyhow::Result<u64> {
    let weights = |model: &DecoderConfig| anyhow::Ok(4 * Layout::new(model)?.len as u64);
    let merging = if spec.merge { 4 * weights(&prepared.model)? } else { 0 };
    let Some(folder) = &fetched.teacher else { return Ok(merging) };
    let teacher = DecoderConfig::load(folder)?;
    let examples = prepared.data.training().iter();
    let longest = examples.map(|example| example.tokens.len()).max().unwrap_or(0);
    let logits = 4 * longest * teacher.vocab_size * prepared.config.threads;
    Ok(merging.max(weights(&teacher)? + logits as u64))
}

/// What the teacher holds likely, where there is one.
fn ask_teacher(fetched: &Fetched, prepared: &mut Prepared, report: Report) -> anyhow::Result<()> {
    let Some(folder) = &fetched.teacher else { return Ok(()) };
    let tokenizer = |folder: &Path| std::fs::read(folder.join("tokenizer.json"));
    if tokenizer(folder)? != tokenizer(&fetched.base)? {
        let message = "the teacher has another tokenizer than the base";
        let hint = "Choose a teacher of the same family, or train on texts that it wrote.";
        return Err(JobFailure::input(message, hint).into());
    }
    report.progress(0, None, "steps", "asking the teacher");
    let teacher = BaseModel::load(folder)?;
    let threads = prepared.config.threads;
    prepared.data.teacher = teach(&teacher, prepared.data.training(), TEACHER_TOKENS, threads)?;
    Ok(())
}

fn run_training(
    spec: &FinetuneSpec,
    fetched: &Fetched,
    mut prepared: Prepared,
    folder: &Path,
    report: Report,
) -> anyhow::Result<TrainOutcome> {
    let quantized = spec.base_precision == BasePrecision::Q8_0;
    let beside = bytes_beside(spec, fetched, &prepared)?;
    preflight::check(
        report,
        &prepared.model,
        quantized,
        &prepared.data,
        &mut prepared.config,
        beside,
    )?;
    ask_teacher(fetched, &mut prepared, report)?;
    let Prepared { data, config, .. } = prepared;
    let limit = spec.max_minutes.map(|minutes| minutes * 60.0);
    let mut observe = |progress: &Progress| {
        let left = format!("loss {:.4}, {:.0} s left", progress.loss, progress.eta);
        report.progress(progress.step, Some(progress.total), "steps", &left);
        report.metric(progress.step, &metrics(progress));
        match limit {
            Some(limit) if progress.elapsed >= limit => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let checkpoints = folder.join("checkpoints");
    std::fs::create_dir_all(&checkpoints)?;
    let base = Loaded::load(&fetched.base, spec.base_precision)?;
    let trained = train(base.base(), &data, &config, &checkpoints, &mut observe);
    let mut outcome = trained.map_err(failure)?;
    drop(base);
    outcome.name_base(&spec.base);
    let output = folder.join("output");
    if let (true, Trained::Adapter(adapter)) = (spec.merge, &outcome.trained) {
        report.info("merging the adapter into the base");
        let merged = BaseModel::load(&fetched.base)?.merged(adapter)?;
        outcome.trained = Trained::Model(merged);
    }
    outcome.save(&output)?;
    if let Trained::Model(_) = outcome.trained {
        copy_companions(&fetched.base, &output)?;
    }
    Ok(outcome)
}

/// A fault of what was asked for is told as such.
pub(super) fn failure(error: TrainError) -> anyhow::Error {
    match error {
        TrainError::InvalidExample { .. } | TrainError::InvalidConfig(_) => {
            JobFailure::input(error.to_string(), "Correct the dataset or the settings.").into()
        }
        other => other.into(),
    }
}

pub(super) fn metrics(progress: &Progress) -> Value {
    let mut values = json!({
        "loss": progress.loss,
        "val_loss": progress.val_loss,
        "lr": progress.lr,
        "grad_norm": progress.grad_norm,
        "tokens_per_s": progress.tokens_per_s,
        "tokens": progress.tokens,
    });
    if let Some(rewards) = progress.rewards {
        values["reward_chosen"] = json!(rewards.chosen);
        values["reward_rejected"] = json!(rewards.rejected);
        values["reward_margin"] = json!(rewards.margin);
        values["reward_accuracy"] = json!(rewards.accuracy);
    }
    values
}

/// Copies what belongs to a model beside its weights: tokenizer, chat template, generation settings.
fn copy_companions(from: &Path, to: &Path) -> anyhow::Result<()> {
    const FILES: [&str; 8] = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "generation_config.json",
        "vocab.json",
        "merges.txt",
    ];
    for file in FILES.into_iter().filter(|file| from.join(file).exists()) {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

/// Publishes what is in the job's output folder, with the card, and answers the model's name.
pub(super) async fn publish(
    task: &Task,
    card: &str,
    outcome: &TrainOutcome,
) -> anyhow::Result<String> {
    let folder = task.folder.join("output");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        let digest = task.client.upload(Bytes::from(std::fs::read(&path)?)).await?;
        files.push(json!({ "path": name, "digest": digest }));
    }
    let digest = task.client.upload(Bytes::from(card.to_owned())).await?;
    files.push(json!({ "path": "README.md", "digest": digest }));
    let output = json!({
        "files": files,
        "card": card,
        "hyperparameters": outcome.report.config,
    });
    let path = format!("/api/v1/jobs/{}/outputs/model", task.id);
    let model: Value = task.client.post(&path, &output).await?;
    // Checkpoints are as large as the model; what came out is stored.
    let _ = std::fs::remove_dir_all(&task.folder);
    Ok(model["ref"].as_str().context("a model has a name")?.to_owned())
}

pub(super) fn card(spec: &FinetuneSpec, outcome: &TrainOutcome) -> String {
    let report: &TrainReport = &outcome.report;
    let what = match (spec.method, &outcome.trained) {
        (FinetuneMethod::Full, _) => "All weights of",
        (FinetuneMethod::Lora, Trained::Adapter(_)) => "A LoRA adapter for",
        (FinetuneMethod::Lora, Trained::Model(_)) => "A LoRA adapter merged into",
    };
    let stopped = match report.stopped {
        StopReason::Completed => "went its whole length",
        StopReason::EarlyStopped => "stopped when the validation loss no longer fell",
        StopReason::Cancelled => "stopped when its time was up",
    };
    let loss = |value: Option<f64>| value.map_or("unknown".into(), |loss| format!("{loss:.4}"));
    format!(
        "# {}\n\n{what} `{}`, trained on `{}`.\n\n\
         | | |\n| --- | --- |\n\
         | training examples | {} |\n| steps | {} |\n| tokens | {} |\n| seconds | {:.1} |\n\
         | trained parameters | {} |\n| validation loss before | {} |\n| best validation loss | {} |\n\
         | labels shuffled | {} |\n\n\
         Training {stopped}. It answers as its dataset does and may fail on anything else; the\n\
         evaluations of the release that carries it say how well.\n",
        spec.name,
        spec.base,
        spec.source(),
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

/// Fetches a model's files into a folder; one from an earlier attempt is complete, since it gets its name
/// last.
pub(super) async fn fetch_model(
    client: &Client,
    reference: &str,
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let complete = folder.to_owned();
    if complete.exists() {
        return Ok(complete);
    }
    let partial = folder.with_extension("part");
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
