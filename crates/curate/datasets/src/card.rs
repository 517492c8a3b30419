//! The page that tells a reader what a version is.

use crate::build::DatasetBuild;
use crate::config::BuildConfig;
use std::fmt::Write as _;

/// The card of a build, in Markdown.
pub(crate) fn card(
    name: &str,
    source: &str,
    inputs: u64,
    config: &BuildConfig,
    build: &DatasetBuild,
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ok = write_card(&mut text, name, source, inputs, config, build);
    text
}

fn write_card(
    out: &mut String,
    name: &str,
    source: &str,
    inputs: u64,
    config: &BuildConfig,
    build: &DatasetBuild,
) -> std::fmt::Result {
    let (rows, dropped, scrubbed) = (&build.sizes, &build.dropped, &build.scrubbed);
    writeln!(
        out,
        "# {name}\n\nBuilt from {source}: {inputs} rows came in, {} are kept.\n",
        build.rows.len()
    )?;
    writeln!(out, "| split | rows |\n| --- | ---: |")?;
    writeln!(
        out,
        "| train | {} |\n| validation | {} |\n| test | {} |\n",
        rows.train, rows.validation, rows.test
    )?;
    writeln!(out, "| left out because | rows |\n| --- | ---: |")?;
    writeln!(out, "| same input as another row | {} |", dropped.exact_duplicate)?;
    writeln!(out, "| nearly the same input and answer | {} |", dropped.near_duplicate)?;
    writeln!(out, "| neither corrected nor approved | {} |", dropped.unjudged)?;
    writeln!(out, "| not usable | {} |\n", dropped.invalid)?;
    if config.scrub.is_empty() {
        writeln!(out, "Personal data was not masked.\n")?;
    } else {
        let kinds: Vec<String> = config.scrub.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "Masked ({}): {} e-mail addresses, {} phone numbers, {} payment-card numbers. Patterns find \
             what they know; names and postal addresses are not looked for.\n",
            kinds.join(", "),
            scrubbed.email,
            scrubbed.phone,
            scrubbed.card
        )?;
    }
    match &config.split {
        Some(split) => writeln!(
            out,
            "Split {}/{}/{} by content hash with seed {}{}; near duplicates share a split.\n",
            split.train,
            split.validation,
            split.test,
            split.seed,
            if split.stratify { ", every label with enough rows in every split" } else { "" }
        )?,
        None => writeln!(
            out,
            "Splits are as the source gives them; {} groups of near duplicates lie across splits.\n",
            build.statistics.groups_across_splits
        )?,
    }
    let statistics = &build.statistics;
    writeln!(
        out,
        "| length in characters | min | mean | median | 95 % | max |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    )?;
    for (what, spread) in [("input", statistics.input_chars), ("answer", statistics.answer_chars)] {
        writeln!(
            out,
            "| {what} | {} | {:.1} | {} | {} | {} |",
            spread.min, spread.mean, spread.p50, spread.p95, spread.max
        )?;
    }
    if !statistics.labels.is_empty() {
        writeln!(out, "\n| label | rows |\n| --- | ---: |")?;
        for label in statistics.labels.iter().take(20) {
            writeln!(out, "| {} | {} |", label.label.replace('|', "\\|"), label.count)?;
        }
        if statistics.labels.len() > 20 {
            writeln!(out, "| … | |")?;
        }
    }
    if !build.broken.is_empty() {
        writeln!(out, "\nFirst rows that could not be used:\n")?;
        for row in build.broken.iter().take(5) {
            writeln!(out, "- {}: {}", row.place, row.reason)?;
        }
    }
    Ok(())
}
