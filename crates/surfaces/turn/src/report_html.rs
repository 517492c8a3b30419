//! The report as one HTML file with its charts inside: no script, nothing fetched.

use crate::chart::{Bar, bars, escape, learning_curve, losses};
use crate::report::{Banking77Report, Refit, StepTime, TelcoReport, TurnReport, scores};
use crate::report_text::{banking77_rows, percent, regression_rows, telco_rows};
use crate::score::{Score, mean};
use std::fmt::Write as _;

const STYLE: &str = include_str!("report.css");

/// The report as a page.
pub(crate) fn page(report: &TurnReport) -> String {
    let (title, body) = match report {
        TurnReport::Telco(report) => ("The wheel turned once: telco desk", telco(report)),
        TurnReport::Banking77(report) => {
            ("The wheel on real queries: banking77", banking77(report))
        }
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
}

fn telco(report: &TelcoReport) -> String {
    let mut body = String::new();
    if report.quick {
        body.push_str("<p class=\"note\">A quick turn: one seed and few items show the way and prove little.</p>");
    }
    let outcome = if report.promoted() { "promoted" } else { "not promoted" };
    tiles(
        &mut body,
        &[
            ("base", percent(report.base.value)),
            ("tuned", percent(mean(scores(&report.tuned_many)))),
            ("regression set", format!("{:+.1} pt", -report.regression_drop() * 100.0)),
            ("release", outcome.into()),
            ("time", format!("{:.1} min", report.minutes)),
        ],
    );
    let rows = &report.dataset["rows"];
    paragraph(
        &mut body,
        &format!(
            "{} questions went through the endpoint {}; {} of the answers were right. The application checked {} of \
         them and corrected {}. Dataset {} took over {} training and {} validation rows. {} held-out questions, {} \
         of them among the traffic.",
            report.requests,
            report.endpoint,
            percent(report.traffic_accuracy),
            report.checked,
            report.corrected,
            report.dataset["name"].as_str().unwrap_or("-"),
            rows["train"],
            rows["validation"],
            report.base.n,
            report.test_overlap
        ),
    );
    body.push_str("<h2>Held-out questions</h2>");
    body.push_str(&bars("Share of held-out questions answered right", &telco_bars(report)));
    body.push_str("<p class=\"small\">Whiskers: 95 % Wilson intervals; dots: seeds.</p>");
    table(&mut body, &["target", "right", "95 % interval", "against base"], &telco_rows(report));
    body.push_str("<h2>Regression set, adapter on</h2>");
    let mut kept = vec![bar("base", &report.regression_base, false)];
    kept.extend(
        report
            .regression_tuned
            .iter()
            .map(|entry| bar(&format!("tuned, seed {}", entry.seed), &entry.score, true)),
    );
    body.push_str(&bars("Share of the regression set answered right", &kept));
    table(&mut body, &["target", "right", "95 % interval"], &regression_rows(report));
    body.push_str("<h2>Training</h2>");
    body.push_str(&losses(&report.losses));
    paragraph(
        &mut body,
        &format!("{}: chosen of the seeds by its validation loss.", report.released_model),
    );
    gate(&mut body, report);
    rollout(&mut body, report);
    times(&mut body, &report.steps);
    if report.promoted() {
        let _ok = write!(
            body,
            "<h2>Ask the new release</h2><pre>{}</pre><p>Console: <a href=\"{1}/\">{1}/</a></p>",
            escape(&report.curl),
            escape(&report.url)
        );
    }
    body
}

fn telco_bars(report: &TelcoReport) -> Vec<Bar> {
    let several = |label: String, refits: &[Refit], strong: bool| {
        let one = match refits {
            [one] => one.score.as_ref().map(|score| (score.low, score.high)),
            _ => None,
        };
        let dots = if refits.len() > 1 {
            scores(refits).map(|score| score.value).collect()
        } else {
            vec![]
        };
        Bar { label, value: mean(scores(refits)), range: one, dots, strong }
    };
    let size = |refits: &[Refit]| refits.first().and_then(|refit| refit.rows).unwrap_or(0);
    vec![
        bar("constant answer", &report.constant, false),
        bar("base", &report.base, false),
        bar(&format!("base, {} examples", report.shots), &report.few_shot, false),
        several("shuffled answers".into(), &report.shuffled, false),
        several(format!("tuned on {}", size(&report.tuned_few)), &report.tuned_few, true),
        several(format!("tuned on {}", size(&report.tuned_many)), &report.tuned_many, true),
    ]
}

fn bar(label: &str, score: &Score, strong: bool) -> Bar {
    Bar {
        label: label.into(),
        value: score.value,
        range: Some((score.low, score.high)),
        dots: Vec::new(),
        strong,
    }
}

fn gate(body: &mut String, report: &TelcoReport) {
    body.push_str("<h2>Gate</h2><ul>");
    for rule in report.gate["rules"].as_array().into_iter().flatten() {
        let text = |name: &str| escape(rule[name].as_str().unwrap_or_default());
        let (class, mark) =
            if rule["passed"] == true { ("yes", "passed") } else { ("no", "failed") };
        let _ok = write!(
            body,
            "<li><b class=\"{class}\">{mark}</b> {}: {}</li>",
            text("name"),
            text("detail")
        );
    }
    body.push_str("</ul>");
}

fn rollout(body: &mut String, report: &TelcoReport) {
    body.push_str("<h2>Rollout</h2>");
    if report.rollout.is_null() {
        paragraph(body, "Nothing was rolled out.");
        return;
    }
    let decisions = report.rollout["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<[String; 5]> = decisions
        .iter()
        .map(|decision| {
            let seen = &decision["observed"]["candidate"];
            let text = |name: &str| decision[name].as_str().unwrap_or_default().replace('_', " ");
            let score =
                seen["score_mean"].as_f64().map_or("-".into(), |score| format!("{score:.2}"));
            [
                text("at").chars().skip(11).take(8).collect(),
                text("action"),
                text("reason"),
                seen["requests"].to_string(),
                score,
            ]
        })
        .collect();
    table(body, &["at", "decision", "reason", "requests", "mean score"], &rows);
}

fn banking77(report: &Banking77Report) -> String {
    let mut body = String::new();
    let best = report.curve.last().and_then(|point| point.refit.score.as_ref());
    tiles(
        &mut body,
        &[
            ("base", percent(report.base.value)),
            ("tuned", best.map_or("-".into(), |score| percent(score.value))),
            ("TF-IDF", report.tfidf.map_or("-".into(), percent)),
            ("training", format!("{:.1} min", report.train_minutes)),
        ],
    );
    paragraph(
        &mut body,
        &format!(
            "{} published training queries, {} of {} published test queries, 77 intents, base {}.",
            report.train_rows, report.base.n, report.test_rows, report.base_model
        ),
    );
    body.push_str(&learning_curve(&report.curve, report.base.value, report.tfidf));
    table(&mut body, &["target", "right (95 %)", "macro F1", "training"], &banking77_rows(report));
    times(&mut body, &report.steps);
    body
}

fn tiles(body: &mut String, tiles: &[(&str, String)]) {
    body.push_str("<dl class=\"tiles\">");
    for (name, value) in tiles {
        let _ok = write!(body, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    }
    body.push_str("</dl>");
}

fn paragraph(body: &mut String, text: &str) {
    let _ok = write!(body, "<p>{}</p>", escape(text));
}

fn times(body: &mut String, steps: &[StepTime]) {
    body.push_str("<h2>Time</h2>");
    let rows: Vec<[String; 2]> =
        steps.iter().map(|step| [step.name.clone(), format!("{:.1} s", step.seconds)]).collect();
    table(body, &["step", "time"], &rows);
}

fn table<const N: usize>(body: &mut String, head: &[&str; N], rows: &[[String; N]]) {
    body.push_str("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for cell in head {
        let _ok = write!(body, "<th scope=\"col\">{}</th>", escape(cell));
    }
    body.push_str("</tr></thead><tbody>");
    for row in rows {
        body.push_str("<tr>");
        for cell in row {
            let _ok = write!(body, "<td>{}</td>", escape(cell));
        }
        body.push_str("</tr>");
    }
    body.push_str("</tbody></table></div>");
}
