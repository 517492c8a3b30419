//! Measures a base model on the telco desk's dev questions before and after LoRA, to choose hyperparameters.
//!
//! `probe_telco MODEL [key=value…]`; keys: examples (comma-separated), rate, rank, epochs, rehearsal, kl, items,
//! batch, seed, threads, task (telco or a banking77 folder). Looks at dev and regression items only, never at
//! telco's test items.
#![allow(clippy::print_stdout, reason = "an example that prints")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Context;
use pelton_tiny::conversation::{Conversation, Task};
use pelton_tiny::probe::{LoraSettings, Probe};
use pelton_turn::telco::Split;
use pelton_turn::{banking77, telco};

/// Items with the group that each is reported under.
type Grouped = Vec<(String, Conversation)>;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("usage: probe_telco MODEL [key=value…]")?);
    let settings: HashMap<String, String> = arguments
        .filter_map(|setting| setting.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
        .collect();
    let number = |key: &str, default: f64| {
        settings.get(key).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let defaults = LoraSettings::default();
    let lora = LoraSettings {
        rank: number("rank", defaults.rank as f64) as usize,
        rate: number("rate", defaults.rate),
        epochs: number("epochs", defaults.epochs as f64) as u64,
        batch_tokens: number("batch", defaults.batch_tokens as f64) as usize,
        rehearsal: number("rehearsal", defaults.rehearsal),
        kl: number("kl", defaults.kl),
        seed: number("seed", defaults.seed as f64) as u64,
        threads: number("threads", 1.0) as usize,
    };
    let items = number("items", 200.0) as usize;
    let probe = Probe::load(&folder)?;
    let (train, dev) = match settings.get("task") {
        Some(folder) if folder != "telco" => banking(Path::new(folder), items)?,
        _ => (desk(Split::Traffic, lora.seed, 5_000), desk(Split::Dev, 1, items as u64)),
    };
    if number("base", 1.0) > 0.0 {
        println!("base: {}", score(&probe, None, &dev, items as u64)?);
    }
    let work = std::env::temp_dir().join("pelton-probe-has-no-checkpoints");
    let sizes = settings.get("examples").map_or("50,500", String::as_str);
    for size in sizes.split(',').filter(|size| !size.is_empty()) {
        let task: Vec<Conversation> = train
            .iter()
            .take(size.parse()?)
            .map(|(_, conversation)| conversation.clone())
            .collect();
        let (adapter, report) = probe.tune(&task, &lora, &work)?;
        let loss = report.curve.last().map_or(f32::NAN, |point| point.loss);
        println!(
            "{size} examples, {} steps, {:.0} s, {:.0} tokens/s, loss {loss:.3}: {}",
            report.steps,
            report.seconds,
            report.tokens as f64 / report.seconds,
            score(&probe, Some(&adapter), &dev, items as u64)?
        );
    }
    Ok(())
}

fn desk(split: Split, seed: u64, count: u64) -> Grouped {
    (0..count)
        .map(|index| {
            let item = telco::item(split, seed, index);
            let group = format!(
                "{:?} {}",
                item.kind,
                if item.target.is_some() { "found" } else { "absent" }
            );
            (group, Conversation::new(Task::Bill, item.system.to_owned(), item.prompt, item.answer))
        })
        .collect()
}

/// Dev questions come out of the train file's end; the published test file stays unseen.
fn banking(folder: &Path, dev: usize) -> anyhow::Result<(Grouped, Grouped)> {
    let mut queries = banking77::read(folder)?.train;
    // The file is in the intents' order; a fixed stride mixes it.
    let count = queries.len();
    queries = (0..count).map(|at| queries[at * 4_001 % count].clone()).collect();
    let conversations = queries.into_iter().map(|query| {
        (
            String::new(),
            Conversation::new(Task::Intent, banking77::SYSTEM.to_owned(), query.text, query.intent),
        )
    });
    let mut train: Grouped = conversations.collect();
    let dev = train.split_off(count - dev);
    Ok((train, dev))
}

fn score(
    probe: &Probe,
    adapter: Option<&pelton_tiny::probe::Adapter>,
    dev: &Grouped,
    items: u64,
) -> anyhow::Result<String> {
    let conversations: Vec<Conversation> =
        dev.iter().map(|(_, conversation)| conversation.clone()).collect();
    let right = probe.right(adapter, &conversations)?;
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((group, _), right) in dev.iter().zip(&right) {
        let count = groups.entry(group).or_default();
        count.0 += usize::from(*right);
        count.1 += 1;
    }
    let groups: Vec<String> =
        groups.iter().map(|(group, (ok, of))| format!("{group} {ok}/{of}")).collect();
    let abilities = probe.regression(adapter, items)?;
    let sum = abilities.iter().fold((0, 0), |sum, one| (sum.0 + one.right, sum.1 + one.asked));
    let tasks: Vec<String> =
        abilities.iter().map(|one| format!("{} {}/{}", one.task, one.right, one.asked)).collect();
    Ok(format!(
        "task {:.3} ({}); regression {:.3} ({})",
        right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64,
        groups.join(", "),
        sum.0 as f64 / sum.1.max(1) as f64,
        tasks.join(", ")
    ))
}
