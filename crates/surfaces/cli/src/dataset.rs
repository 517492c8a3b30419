//! `pelton dataset`.

use crate::filter::Filter;
use crate::list::{Length, Query, fetch};
use crate::table::{Column, instant, plain};
use crate::terminal::Terminal;
use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use pelton_client::{Client, escape};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Verbs of `pelton dataset`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List datasets.
    List {
        #[command(flatten)]
        length: Length,
    },
    /// Show a dataset with its versions, or a version with its card.
    #[command(after_help = "Examples:\n  pelton dataset show telco\n  pelton dataset show telco@3")]
    Show {
        /// `name` or `name@version`.
        dataset: String,
    },
    /// Build a version from logged traffic.
    #[command(after_help = "\
Examples:
  pelton dataset build telco --endpoint telco-desk --only-judged --wait
  pelton dataset build support --since 7d --near-dedup 0.9 --split 0.9,0.05,0.05")]
    Build {
        /// The dataset's name.
        name: String,
        #[command(flatten)]
        filter: Filter,
        /// Calls at most, newest first.
        #[arg(long)]
        limit: Option<u64>,
        #[command(flatten)]
        how: How,
    },
    /// Build a version from a JSONL file.
    #[command(after_help = "\
Each line: {\"messages\":[…],\"answer\":\"…\",\"label\":null,\"split\":null}.
Example:
  pelton dataset upload telco-test test.jsonl --keep-split --wait")]
    Upload {
        /// The dataset's name.
        name: String,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Show rows of a version.
    Rows {
        /// `name@version`.
        version: String,
        /// train, validation or test.
        #[arg(long)]
        split: Option<String>,
        #[command(flatten)]
        length: Length,
    },
    /// Download a version as JSONL.
    Download {
        /// `name@version`.
        version: String,
        /// train, validation or test.
        #[arg(long)]
        split: Option<String>,
        /// The file; standard output without.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
}

/// How a version is built.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// Keep the answers that were given even where there is a correction.
    #[arg(long)]
    no_corrections: bool,
    /// Keep only calls with a correction or a good score.
    #[arg(long)]
    only_judged: bool,
    /// Personal data to mask; an empty list masks nothing.
    #[arg(long, value_delimiter = ',', default_value = "email,phone,card")]
    scrub: Vec<String>,
    /// Keep rows with equal inputs.
    #[arg(long)]
    keep_duplicates: bool,
    /// Drop rows at least this similar, 0 to 1.
    #[arg(long, value_name = "SIMILARITY")]
    near_dedup: Option<f64>,
    /// Shares of train, validation and test.
    #[arg(long, value_delimiter = ',', num_args = 1, default_value = "0.8,0.1,0.1")]
    split: Vec<f64>,
    /// Keep the splits that the rows give.
    #[arg(long)]
    keep_split: bool,
    /// Another seed gives another split.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Wait until it is built.
    #[arg(long)]
    wait: bool,
}

impl How {
    fn request(&self, source: Value) -> anyhow::Result<Value> {
        let split = match self.split.as_slice() {
            _ if self.keep_split => Value::Null,
            [train, validation, test] => json!({
                "train": train, "validation": validation, "test": test, "seed": self.seed,
                "stratify": true,
            }),
            _ => anyhow::bail!("--split takes three shares: train,validation,test"),
        };
        let scrub: Vec<&String> = self.scrub.iter().filter(|kind| !kind.is_empty()).collect();
        Ok(json!({
            "source": source,
            "use_corrections": !self.no_corrections,
            "only_judged": self.only_judged,
            "scrub": scrub,
            "exact_dedup": !self.keep_duplicates,
            "near_dedup": self.near_dedup,
            "split": split,
        }))
    }
}

const LIST: &[Column] = &[
    Column::text("name", |v| plain(&v["name"])),
    Column::number("versions", |v| plain(&v["versions"])),
    Column::number("train", |v| plain(&v["latest"]["rows"]["train"])),
    Column::number("validation", |v| plain(&v["latest"]["rows"]["validation"])),
    Column::number("test", |v| plain(&v["latest"]["rows"]["test"])),
    Column::text("newest", |v| instant(&v["latest"]["created_at"])),
];

const VERSIONS: &[Column] = &[
    Column::text("version", |v| plain(&v["name"])),
    Column::text("built", |v| instant(&v["created_at"])),
    Column::number("train", |v| plain(&v["rows"]["train"])),
    Column::number("validation", |v| plain(&v["rows"]["validation"])),
    Column::number("test", |v| plain(&v["rows"]["test"])),
    Column::text("digest", |v| plain(&v["digest"]).chars().take(19).collect()),
];

const ROWS: &[Column] = &[
    Column::number("index", |v| plain(&v["index"])),
    Column::text("split", |v| plain(&v["split"])),
    Column::text("from", |v| match v["provenance"]["inference_id"].as_str() {
        Some(inference) => inference.to_owned(),
        None => format!("line {}", plain(&v["provenance"]["line"])),
    }),
    Column::text("label", |v| plain(&v["label"])),
    Column::text("answer", |v| plain(&v["answer"])),
];

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    match verb {
        Verb::List { length } => {
            let items = fetch(client, "/api/v1/datasets", &Query::default(), length.limit).await?;
            out.list(
                &items,
                LIST,
                "No datasets. Build one: pelton dataset build NAME --endpoint ….",
            )?;
        }
        Verb::Show { dataset } => show(&dataset, client, out).await?,
        Verb::Build { name, filter, limit, how } => {
            let source = json!({ "kind": "traces", "filter": filter.body(), "limit": limit });
            build(&name, &how, source, client, out).await?;
        }
        Verb::Upload { name, file, how } => {
            let digest = client.upload(read(&file)?).await?;
            build(&name, &how, json!({ "kind": "blob", "digest": digest }), client, out).await?;
        }
        Verb::Rows { version, split, length } => {
            let path = format!("{}/rows", path_of(&version)?);
            let query = Query::default().with("split", split);
            let items = fetch(client, &path, &query, length.limit).await?;
            out.list(&items, ROWS, "No rows.")?;
        }
        Verb::Download { version, split, output } => {
            let path = format!("{}/download", path_of(&version)?);
            let bytes = client.download(&Query::default().with("split", split).on(&path)).await?;
            match output {
                Some(file) => std::fs::write(&file, &bytes)
                    .with_context(|| format!("{} cannot be written", file.display()))?,
                None => out.bytes(&bytes)?,
            }
        }
    }
    Ok(())
}

async fn build(
    name: &str,
    how: &How,
    source: Value,
    client: &Client,
    out: &mut Terminal,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/datasets/{}/versions", escape(name));
    let job: Value = client.post(&path, &how.request(source)?).await?;
    out.job(client, &job, how.wait).await
}

async fn show(dataset: &str, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    if dataset.contains('@') {
        let version: Value = client.get(&path_of(dataset)?).await?;
        if out.is_json() {
            return Ok(out.raw(&version)?);
        }
        return Ok(out.say(version["card"].as_str().unwrap_or_default())?);
    }
    let found: Value = client.get(&format!("/api/v1/datasets/{}", escape(dataset))).await?;
    if out.is_json() {
        return Ok(out.raw(&found)?);
    }
    let versions = found["all_versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(out.list(versions, VERSIONS, "No version is built yet.")?)
}

fn read(file: &Path) -> anyhow::Result<Bytes> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Bytes::from(bytes))
}

/// The path of `name@version`.
fn path_of(version: &str) -> anyhow::Result<String> {
    let (name, number) = version
        .rsplit_once('@')
        .with_context(|| format!("`{version}` should read name@version, as in telco@3"))?;
    Ok(format!("/api/v1/datasets/{}/versions/{}", escape(name), escape(number)))
}
