//! `pelton finetune`.

use crate::search::{self, Search};
use crate::terminal::Terminal;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use pelton_client::Client;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;

/// Verbs of `pelton finetune`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Train a LoRA adapter, or all weights, on a dataset version or on preference pairs.
    #[command(after_help = "\
Examples:
  pelton finetune create telco-desk --dataset telco@1 --wait
  pelton finetune create telco-desk --preferences pairs.jsonl --wait
  pelton finetune create small-desk --dataset telco@1 --base acme/qwen@1 --base-precision q8_0
  pelton finetune create desk-model --dataset telco@1 --merge
  pelton finetune create telco-desk --dataset telco@1 --train-rows 50 --seed 2 --max-minutes 5")]
    Create {
        #[command(flatten)]
        settings: Box<Settings>,
        /// Wait until it is trained.
        #[arg(long)]
        wait: bool,
    },
    /// Find the hyperparameters that fit a dataset best, within a budget, and publish the adapter that they give.
    #[command(after_help = search::EXAMPLES)]
    Search(Box<Search>),
    /// Render the same fine-tune as a job for a cluster, which runs it with TRL. Nothing is started.
    #[command(after_help = "\
Examples:
  pelton finetune render telco-desk --dataset telco@1 --base acme/qwen@1 \\
    --image registry.example/trl:1.16 --server-url https://pelton.example --gpus-per-node 4 \\
    | kubectl apply -f -
  pelton finetune render telco-desk --dataset telco@1 --base acme/large@1 --nodes 2 \\
    --gpus-per-node 8 --sharding fsdp --storage-claim work --image registry.example/trl:1.16 \\
    --server-url https://pelton.example --output job.yaml
  pelton finetune render telco-desk --preferences pairs.jsonl --target argo \\
    --image registry.example/trl:1.16 --server-url https://pelton.example --output template.yaml")]
    Render {
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        cluster: Box<Cluster>,
        /// Write the manifest to this file.
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

/// What is trained, on what and how.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The adapter's name; every run makes a new version of it.
    name: String,
    /// The base model.
    #[arg(long, default_value = "pelton/pelton-tiny@1")]
    base: String,
    /// The dataset version, `name@version`.
    #[arg(long, required_unless_present = "preferences", conflicts_with = "preferences")]
    dataset: Option<String>,
    /// A JSONL file of pairs (`messages` or `prompt`, `chosen`, `rejected`): direct preference optimization.
    #[arg(long)]
    preferences: Option<PathBuf>,
    /// What is trained: a `lora` adapter, or all weights (`full`), for small models.
    #[arg(long, default_value = "lora", value_parser = ["lora", "full"])]
    method: String,
    /// How the frozen base is kept: `q8_0` takes a quarter of the memory of `f32`.
    #[arg(long, default_value = "f32", value_parser = ["f32", "q8_0"])]
    base_precision: String,
    /// How strongly pairs hold the model to the base.
    #[arg(long)]
    preference_beta: Option<f64>,
    /// A model of the same tokenizer whose distributions are learned beside the answers.
    #[arg(long)]
    teacher: Option<String>,
    /// The teacher's share of the loss.
    #[arg(long, requires = "teacher")]
    distillation_weight: Option<f64>,
    /// Temperature of both distributions.
    #[arg(long, requires = "teacher")]
    distillation_temperature: Option<f64>,
    /// Merge the adapter into a copy of the base, and publish that as a base model.
    #[arg(long)]
    merge: bool,
    /// Training rows, drawn by seed; all without.
    #[arg(long)]
    train_rows: Option<u64>,
    /// The same seed gives the same adapter.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Deal answers out at random: a control that must not help.
    #[arg(long)]
    shuffle_labels: bool,
    /// LoRA rank.
    #[arg(long)]
    rank: Option<u32>,
    /// Which linear layers get a low-rank pair: all, or those of the attention or the feed-forward network.
    #[arg(long, value_parser = ["all", "attention", "mlp"])]
    targets: Option<String>,
    /// LoRA alpha.
    #[arg(long)]
    alpha: Option<u32>,
    /// Peak learning rate.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Passes over the rows at most.
    #[arg(long)]
    epochs: Option<f64>,
    /// Tokens in a batch.
    #[arg(long)]
    batch_tokens: Option<u32>,
    /// Share of base tasks mixed in against forgetting.
    #[arg(long)]
    rehearsal: Option<f64>,
    /// Weight of the KL divergence from the base on them.
    #[arg(long)]
    kl_to_base: Option<f64>,
    /// Longest training time.
    #[arg(long)]
    max_minutes: Option<f64>,
}

/// Where and with what a rendered job runs.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// `kubernetes` for a Job, `argo` for a WorkflowTemplate.
    #[arg(long, default_value = "kubernetes", value_parser = ["kubernetes", "argo"])]
    target: String,
    /// What trains. TRL is the only one so far.
    #[arg(long, default_value = "trl", value_parser = ["trl"])]
    trainer: String,
    /// The container image, with Python, TRL and what TRL needs in it.
    #[arg(long)]
    image: String,
    /// Pelton's address, as pods reach it; that of this command (`--url`) without.
    #[arg(long)]
    server_url: Option<String>,
    /// The namespace; that of `kubectl` without.
    #[arg(long)]
    namespace: Option<String>,
    /// The pods' service account.
    #[arg(long)]
    service_account: Option<String>,
    /// The Secret and the key in it that hold an API key with the scopes read and write.
    #[arg(long, value_name = "NAME/KEY", default_value = "pelton-api-key/api-key")]
    api_key_secret: String,
    /// Machines that train together.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// GPUs on each; 0 to train on the CPU.
    #[arg(long, default_value_t = 1)]
    gpus_per_node: u32,
    /// The resource that counts GPUs.
    #[arg(long, default_value = "nvidia.com/gpu")]
    gpu_resource: String,
    /// `fsdp` divides a model that one GPU cannot hold.
    #[arg(long, default_value = "none", value_parser = ["none", "fsdp"])]
    sharding: String,
    /// CPUs of each node.
    #[arg(long, default_value = "4")]
    cpu: String,
    /// Memory of each node.
    #[arg(long, default_value = "16Gi")]
    memory: String,
    /// A persistent volume claim for checkpoints, which then outlive a lost pod.
    #[arg(long)]
    storage_claim: Option<String>,
    /// What is computed with; bf16 on GPUs and f32 on a CPU without.
    #[arg(long, value_parser = ["bf16", "f32"])]
    precision: Option<String>,
    /// Tokens of one forward pass of one GPU at most, about.
    #[arg(long, default_value_t = 8_192)]
    micro_batch_tokens: u32,
}

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::Create { settings, wait } => {
            let request = request(*settings, client).await?;
            let job: Value = client.post("/api/v1/finetunes", &request).await?;
            out.job(client, &job, wait).await
        }
        Verb::Search(search) => search::run(*search, client, out).await,
        Verb::Render { settings, cluster, output } => {
            let request = json!({
                "finetune": request(*settings, client).await?,
                "cluster": cluster_request(*cluster, client)?,
            });
            let rendered: Value = client.post("/api/v1/finetunes/render", &request).await?;
            tell_rendered(&rendered, output, out)
        }
    }
}

/// Prints the manifest, or writes it to a file; notes go beside it, where they are not applied.
fn tell_rendered(
    rendered: &Value,
    output: Option<PathBuf>,
    out: &mut Terminal,
) -> anyhow::Result<()> {
    let manifest = rendered["manifest"].as_str().unwrap_or_default();
    if let Some(file) = &output {
        std::fs::write(file, manifest)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if out.is_json() {
        return Ok(out.raw(rendered)?);
    }
    let mut notes = rendered["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match output {
        Some(file) => {
            out.say(&format!("Apply it with `kubectl apply -f {}`.", file.display()))?;
            notes.try_for_each(|note| out.say(note))?;
        }
        None => {
            out.bytes(manifest.as_bytes())?;
            for note in notes {
                // Nothing is lost when standard error is closed: notes are in the manifest, too.
                let _ignored = writeln!(std::io::stderr(), "{note}");
            }
        }
    }
    Ok(())
}

fn cluster_request(cluster: Cluster, client: &Client) -> anyhow::Result<Value> {
    let Cluster {
        target,
        trainer: _,
        image,
        server_url,
        namespace,
        service_account,
        api_key_secret,
        nodes,
        gpus_per_node,
        gpu_resource,
        sharding,
        cpu,
        memory,
        storage_claim,
        precision,
        micro_batch_tokens,
    } = cluster;
    let (secret, key) =
        api_key_secret.split_once('/').context("--api-key-secret is NAME/KEY of a Secret")?;
    Ok(json!({
        "target": target, "image": image,
        "server_url": server_url.unwrap_or_else(|| client.base().to_owned()),
        "namespace": namespace, "service_account": service_account,
        "api_key_secret": secret, "api_key_secret_key": key,
        "nodes": nodes, "gpus_per_node": gpus_per_node, "gpu_resource": gpu_resource,
        "sharding": sharding, "cpu": cpu, "memory": memory, "storage_claim": storage_claim,
        "precision": precision, "micro_batch_tokens": micro_batch_tokens,
    }))
}

async fn request(settings: Settings, client: &Client) -> anyhow::Result<Value> {
    let Settings {
        name,
        base,
        dataset,
        preferences,
        method,
        base_precision,
        preference_beta,
        teacher,
        distillation_weight,
        distillation_temperature,
        merge,
        train_rows,
        seed,
        shuffle_labels,
        rank,
        targets,
        alpha,
        learning_rate,
        epochs,
        batch_tokens,
        rehearsal,
        kl_to_base,
        max_minutes,
    } = settings;
    let preferences = match preferences {
        Some(file) => {
            let bytes =
                std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Some(client.upload(bytes.into()).await?)
        }
        None => None,
    };
    Ok(json!({
        "name": name, "base": base, "dataset": dataset, "preferences": preferences,
        "method": method, "base_precision": base_precision, "preference_beta": preference_beta,
        "teacher": teacher, "distillation_weight": distillation_weight,
        "distillation_temperature": distillation_temperature, "merge": merge,
        "train_rows": train_rows, "seed": seed,
        "shuffle_labels": shuffle_labels, "rank": rank, "targets": targets, "alpha": alpha,
        "learning_rate": learning_rate, "epochs": epochs, "batch_tokens": batch_tokens,
        "rehearsal": rehearsal, "kl_to_base": kl_to_base, "max_minutes": max_minutes,
    }))
}
