//! Charts as inline SVG that follow the page's colors.

use crate::report::{CurvePoint, Loss};
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;

/// One bar of [`bars`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Bounds of its interval.
    pub(crate) range: Option<(f64, f64)>,
    /// Values of single seeds.
    pub(crate) dots: Vec<f64>,
    /// Whether it is what the chart is about.
    pub(crate) strong: bool,
}

/// Text that may stand in HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Horizontal bars for shares from 0 to 1, with intervals and seeds.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let (left, right, row, top) = (230.0, 70.0, 34.0, 10.0);
    let span = WIDTH - left - right;
    #[expect(clippy::cast_precision_loss, reason = "a few bars")]
    let height = top + row * bars.len() as f64 + 26.0;
    let x = |share: f64| left + span * share.clamp(0.0, 1.0);
    let mut svg = open(title, height);
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (at, bottom) = (x(tick), height - 22.0);
        let _ok = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0} %</text>",
            height - 6.0,
            tick * 100.0
        );
    }
    let mut y = top;
    for bar in bars {
        let middle = y + row / 2.0;
        let class = if bar.strong { "bar strong" } else { "bar" };
        let _ok = write!(
            svg,
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"18\" rx=\"3\"/>\
             <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{:.1} %</text>",
            left - 10.0,
            middle + 4.0,
            escape(&bar.label),
            middle - 9.0,
            (x(bar.value) - left).max(1.0),
            WIDTH - right + 10.0,
            middle + 4.0,
            bar.value * 100.0
        );
        if let Some((low, high)) = bar.range {
            let _ok = write!(
                svg,
                "<path class=\"whisker\" d=\"M{:.1} {:.1}V{:.1}M{:.1} {middle:.1}H{:.1}M{:.1} {:.1}V{:.1}\"/>",
                x(low),
                middle - 5.0,
                middle + 5.0,
                x(low),
                x(high),
                x(high),
                middle - 5.0,
                middle + 5.0
            );
        }
        for &dot in &bar.dots {
            let _ok = write!(
                svg,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"3\"/>",
                x(dot)
            );
        }
        y += row;
    }
    svg.push_str("</svg>");
    svg
}

/// Training and validation loss over steps.
pub(crate) fn losses(curve: &[Loss]) -> String {
    let series = |pick: fn(&Loss) -> Option<f64>| -> Vec<(f64, f64)> {
        curve
            .iter()
            .filter_map(|loss| {
                #[expect(clippy::cast_precision_loss, reason = "steps stay far below 2^53")]
                let step = loss.step as f64;
                pick(loss).map(|value| (step, value))
            })
            .collect()
    };
    let (train, validation) = (series(|loss| loss.train), series(|loss| loss.validation));
    let all = || train.iter().chain(&validation);
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let most = all().map(|point| point.1).fold(0.0, f64::max).max(1e-6);
    lines(
        "Loss of the released fine-tune over its steps",
        &[("train", train), ("validation", validation)],
        |step| step / last,
        |loss| loss / most,
        &[(0.0, "0".into()), (last, format!("step {last:.0}"))],
        &[(0.0, "0".into()), (most, format!("{most:.2}"))],
    )
}

/// Accuracy over training examples, on a logarithmic axis, beside a reference.
pub(crate) fn learning_curve(points: &[CurvePoint], base: f64, reference: Option<f64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows stay far below 2^53")]
    let tuned: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|point| Some((point.rows as f64, point.refit.score.as_ref()?.value)))
        .collect();
    let (first, last) =
        (tuned.first().map_or(1.0, |point| point.0), tuned.last().map_or(10.0, |point| point.0));
    let across = |value: f64| vec![(first, value), (last, value)];
    let mut series = vec![("tuned", tuned.clone()), ("base", across(base))];
    series.extend(reference.map(|value| ("TF-IDF", across(value))));
    let spread = (last / first).ln().max(1e-9);
    let ticks: Vec<(f64, String)> =
        tuned.iter().map(|point| (point.0, format!("{:.0}", point.0))).collect();
    lines(
        "Accuracy on the test queries over training examples",
        &series,
        |rows| (rows / first).ln() / spread,
        |share| share,
        &ticks,
        &[(0.0, "0 %".into()), (0.5, "50 %".into()), (1.0, "100 %".into())],
    )
}

fn lines(
    title: &str,
    series: &[(&str, Vec<(f64, f64)>)],
    across: impl Fn(f64) -> f64,
    up: impl Fn(f64) -> f64,
    x_ticks: &[(f64, String)],
    y_ticks: &[(f64, String)],
) -> String {
    let (left, top, height, right) = (60.0, 14.0, 260.0, 90.0);
    let (span, tall) = (WIDTH - left - right, height - top - 30.0);
    let x = |value: f64| left + span * across(value).clamp(0.0, 1.0);
    let y = |value: f64| top + tall * (1.0 - up(value).clamp(0.0, 1.0));
    let mut svg = open(title, height);
    for (value, label) in y_ticks {
        let at = y(*value);
        let _ok = write!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left + span,
            left - 8.0,
            at + 4.0,
            escape(label)
        );
    }
    for (value, label) in x_ticks {
        let _ok = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(*value),
            height - 8.0,
            escape(label)
        );
    }
    for (place, (name, points)) in series.iter().enumerate() {
        let Some(end) = points.last() else { continue };
        let path: Vec<String> =
            points.iter().map(|point| format!("{:.1} {:.1}", x(point.0), y(point.1))).collect();
        let _ok = write!(
            svg,
            "<path class=\"line s{place}\" d=\"M{}\"/>\
             <text class=\"name s{place}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            path.join("L"),
            x(end.0) + 8.0,
            y(end.1) + 4.0,
            escape(name)
        );
        if points.len() <= 12 {
            for point in points {
                let _ok = write!(
                    svg,
                    "<circle class=\"mark s{place}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
                    x(point.0),
                    y(point.1)
                );
            }
        }
    }
    svg.push_str("</svg>");
    svg
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    )
}
