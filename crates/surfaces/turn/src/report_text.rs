//! The report as Markdown, for the terminal and for files.

use crate::report::{Banking77Report, Refit, TelcoReport, TurnReport, scores};
use crate::score::{Score, deviation, mean};
use std::fmt::{self, Write as _};

/// The report as Markdown.
pub(crate) fn markdown(report: &TurnReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ok = match report {
        TurnReport::Telco(report) => telco(&mut text, report),
        TurnReport::Banking77(report) => banking77(&mut text, report),
    };
    text
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(crate) fn interval(score: &Score) -> String {
    format!("{:.1} to {:.1} %", score.low * 100.0, score.high * 100.0)
}

pub(crate) fn p_text(p: f64) -> String {
    if p < 1e-4 { format!("{p:.0e}") } else { format!("{p:.4}") }
}

/// Mean over seeds, with the standard deviation where there are several.
pub(crate) fn over_seeds(refits: &[Refit]) -> String {
    let middle = percent(mean(scores(refits)));
    if refits.len() < 2 {
        return middle;
    }
    format!("{middle} ± {:.1}", deviation(scores(refits)) * 100.0)
}

/// Mean gain over the base with the largest p-value, or nothing.
pub(crate) fn against(base: &Score, refits: &[Refit]) -> String {
    let worst = refits.iter().filter_map(|refit| refit.p_value).fold(f64::NAN, f64::max);
    if worst.is_nan() {
        return String::new();
    }
    let gain = (mean(scores(refits)) - base.value) * 100.0;
    let sign = if refits.len() > 1 { "≤" } else { "=" };
    format!("{gain:+.1} points, p {sign} {}", p_text(worst))
}

/// The rows of the main table: (what, accuracy, interval or spread, test).
pub(crate) fn telco_rows(report: &TelcoReport) -> Vec<[String; 4]> {
    let single =
        |what: String, score: &Score| [what, percent(score.value), interval(score), String::new()];
    let several = |what: String, refits: &[Refit]| {
        let seeds = match refits {
            [one] => one.score.as_ref().map(interval).unwrap_or_default(),
            many => format!("{} seeds, standard deviation", many.len()),
        };
        [what, over_seeds(refits), seeds, against(&report.base, refits)]
    };
    let size = |refits: &[Refit]| refits.first().and_then(|refit| refit.rows).unwrap_or(0);
    vec![
        single("constant answer".into(), &report.constant),
        single("base".into(), &report.base),
        single(format!("base, {} examples in the prompt", report.shots), &report.few_shot),
        several(
            format!("tuned on {} with shuffled answers", size(&report.shuffled)),
            &report.shuffled,
        ),
        several(format!("tuned on {}", size(&report.tuned_few)), &report.tuned_few),
        several(format!("tuned on {}", size(&report.tuned_many)), &report.tuned_many),
    ]
}

fn telco(out: &mut String, report: &TelcoReport) -> fmt::Result {
    writeln!(out, "\n# The wheel turned once: telco desk\n")?;
    if report.quick {
        writeln!(out, "A quick turn: one seed and few items show the way and prove little.\n")?;
    }
    writeln!(
        out,
        "{} questions through `{}`, {} right; the application checked {} answers and corrected {}.",
        report.requests,
        report.endpoint,
        percent(report.traffic_accuracy),
        report.checked,
        report.corrected
    )?;
    let rows = &report.dataset["rows"];
    writeln!(
        out,
        "Dataset {}: {} training and {} validation rows. {} held-out questions, {} of them among the traffic.\n",
        report.dataset["name"].as_str().unwrap_or("-"),
        rows["train"],
        rows["validation"],
        report.base.n,
        report.test_overlap
    )?;
    table(
        out,
        &["held-out questions", "right", "95 % interval", "against base"],
        &telco_rows(report),
    )?;
    writeln!(out)?;
    table(out, &["regression set", "right", "95 % interval"], &regression_rows(report))?;
    writeln!(
        out,
        "\nThe regression set falls by {:.1} points in the mean; {:.0} are allowed.",
        report.regression_drop() * 100.0,
        report.regression_margin * 100.0
    )?;
    gate(out, report)?;
    rollout(out, report)?;
    times(out, &report.steps, report.minutes)?;
    if report.promoted() {
        writeln!(out, "\nConsole: {}/\nAsk the new release:\n\n{}\n", report.url, report.curl)?;
    }
    Ok(())
}

pub(crate) fn regression_rows(report: &TelcoReport) -> Vec<[String; 3]> {
    let row = |what: String, score: &Score| [what, percent(score.value), interval(score)];
    let mut rows = vec![row("base".into(), &report.regression_base)];
    rows.extend(report.regression_tuned.iter().map(|entry| {
        let size = entry.rows.map_or("all".into(), |rows| rows.to_string());
        row(format!("tuned on {size}, seed {}", entry.seed), &entry.score)
    }));
    rows
}

fn gate(out: &mut String, report: &TelcoReport) -> fmt::Result {
    let passed = if report.gate["passed"] == true { "passed" } else { "did not pass" };
    writeln!(out, "\nThe gate {passed} for {}:\n", report.released_model)?;
    for rule in report.gate["rules"].as_array().into_iter().flatten() {
        let mark = if rule["passed"] == true { "✓" } else { "✗" };
        let text = |name: &str| rule[name].as_str().unwrap_or_default();
        writeln!(out, "- {mark} {}: {}", text("name"), text("detail"))?;
    }
    Ok(())
}

fn rollout(out: &mut String, report: &TelcoReport) -> fmt::Result {
    if report.rollout.is_null() {
        return writeln!(out, "\nNothing was rolled out.");
    }
    let state = report.rollout["state"].as_str().unwrap_or_default().replace('_', " ");
    writeln!(out, "\nRollout of {}: {state}.\n", report.release)?;
    for decision in report.rollout["decisions"].as_array().into_iter().flatten() {
        let action = decision["action"].as_str().unwrap_or_default();
        if action == "hold" {
            continue;
        }
        let seen = &decision["observed"]["candidate"];
        writeln!(
            out,
            "- {}: {} ({} requests, {} errors, mean score {})",
            action.replace('_', " "),
            decision["reason"].as_str().unwrap_or_default(),
            seen["requests"],
            seen["errors"],
            seen["score_mean"].as_f64().map_or("-".into(), |score| format!("{score:.2}"))
        )?;
    }
    Ok(())
}

fn times(out: &mut String, steps: &[crate::report::StepTime], minutes: f64) -> fmt::Result {
    writeln!(out)?;
    let rows: Vec<[String; 2]> =
        steps.iter().map(|step| [step.name.clone(), format!("{:.1} s", step.seconds)]).collect();
    table(out, &["step", "time"], &rows)?;
    writeln!(out, "\n{minutes:.1} minutes in all.")
}

/// The rows of banking77's table.
pub(crate) fn banking77_rows(report: &Banking77Report) -> Vec<[String; 4]> {
    let f1 = |score: &Score| score.macro_f1.map(|f1| format!("{f1:.3}")).unwrap_or_default();
    let row = |what: String, score: &Score, training: String| {
        [what, format!("{} ({})", percent(score.value), interval(score)), f1(score), training]
    };
    let mut rows = vec![
        row("constant answer".into(), &report.constant, String::new()),
        row("base".into(), &report.base, String::new()),
    ];
    for point in &report.curve {
        if let Some(score) = &point.refit.score {
            let training = format!("{:.1} min", point.refit.seconds / 60.0);
            rows.push(row(format!("tuned on {}", point.rows), score, training));
        }
    }
    if let Some(tfidf) = report.tfidf {
        let what = "TF-IDF with logistic regression, all".into();
        rows.push([what, percent(tfidf), String::new(), String::new()]);
    }
    rows
}

fn banking77(out: &mut String, report: &Banking77Report) -> fmt::Result {
    writeln!(out, "\n# The wheel on real queries: banking77\n")?;
    writeln!(
        out,
        "{} published training queries, {} of {} published test queries, 77 intents, base {}.\n",
        report.train_rows, report.base.n, report.test_rows, report.base_model
    )?;
    table(out, &["test queries", "right (95 %)", "macro F1", "training"], &banking77_rows(report))?;
    times(out, &report.steps, report.minutes)
}

/// A Markdown table with aligned columns.
fn table<const N: usize>(out: &mut String, head: &[&str; N], rows: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head.get(column).map_or(0, |cell| cell.chars().count())]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut line = |cells: Vec<&str>| -> fmt::Result {
        for (place, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            // Names to the left, numbers to the right.
            let (before, after) = if place == 0 { ("", pad.as_str()) } else { (pad.as_str(), "") };
            write!(out, "| {before}{cell}{after} ")?;
        }
        writeln!(out, "|")
    };
    line(head.to_vec())?;
    let rules: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(place, width)| {
            let dashes = "-".repeat(width - usize::from(place > 0));
            if place > 0 { format!("{dashes}:") } else { dashes }
        })
        .collect();
    line(rules.iter().map(String::as_str).collect())?;
    for row in rows {
        line(row.iter().map(String::as_str).collect())?;
    }
    Ok(())
}
