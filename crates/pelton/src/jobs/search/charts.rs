//! Pictures of a search as SVG, for the model card: a mark for each trial.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 52.0;

/// A trial in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    pub x: f64,
    /// Its validation loss.
    pub y: f64,
    /// Whether it went its whole length.
    pub whole: bool,
    pub best: bool,
}

/// One direction: its ends, and whether it is logarithmic.
struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64> + Clone, logarithmic: bool) -> Self {
        let from = values.clone().fold(f64::INFINITY, f64::min);
        let to = values.fold(f64::NEG_INFINITY, f64::max);
        let logarithmic = logarithmic && from > 0.0;
        // A single value stands in the middle.
        let (from, to) = match (from < to, logarithmic) {
            (true, _) => (from, to),
            (false, true) => (from / 2.0, to * 2.0),
            (false, false) => (from - 1.0, to + 1.0),
        };
        Self { from, to, logarithmic }
    }

    /// From 0 to 1.
    fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }

    fn value(&self, share: f64) -> f64 {
        if self.logarithmic {
            self.from * (self.to / self.from).powf(share)
        } else {
            self.from + share * (self.to - self.from)
        }
    }
}

/// Draws validation losses, on a logarithmic axis, over something else.
pub fn scatter(across: &str, logarithmic: bool, marks: &[Mark]) -> String {
    let x_axis = Axis::around(marks.iter().map(|mark| mark.x), logarithmic);
    let y_axis = Axis::around(marks.iter().map(|mark| mark.y), true);
    let x = |share: f64| MARGIN + share * (WIDTH - 2.0 * MARGIN);
    let y = |share: f64| HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN);
    let (right, bottom) = (WIDTH - MARGIN, HEIGHT - MARGIN);
    let mut text = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11" fill="#555">
<title>Validation loss by {across}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<path d="M{MARGIN} {MARGIN}V{bottom}H{right}" stroke="#999" fill="none"/>
"##
    );
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let _ = writeln!(
            text,
            r#"<text x="{:.0}" y="{:.0}" text-anchor="middle">{}</text>"#,
            x(share),
            bottom + 16.0,
            number(x_axis.value(share))
        );
        let _ = writeln!(
            text,
            r#"<text x="{:.0}" y="{:.0}" text-anchor="end">{}</text>"#,
            MARGIN - 6.0,
            y(share) + 4.0,
            number(y_axis.value(share))
        );
    }
    for mark in marks {
        let (fill, radius) = match (mark.best, mark.whole) {
            (true, _) => ("#dc2626", 5.0),
            (false, true) => ("#2563eb", 4.0),
            (false, false) => ("#93b4f5", 3.0),
        };
        let _ = writeln!(
            text,
            r#"<circle cx="{:.1}" cy="{:.1}" r="{radius}" fill="{fill}"/>"#,
            x(x_axis.share(mark.x)),
            y(y_axis.share(mark.y))
        );
    }
    let _ = writeln!(
        text,
        r#"<text x="{:.0}" y="{:.0}" text-anchor="middle">{across}</text>"#,
        WIDTH / 2.0,
        HEIGHT - 12.0
    );
    let _ = writeln!(
        text,
        r#"<text x="{MARGIN}" y="{:.0}">validation loss (nats per token); red: the best, pale: did not go its whole length</text>"#,
        MARGIN - 18.0
    );
    text.push_str("</svg>\n");
    text
}

/// Three digits.
fn number(value: f64) -> String {
    match value.abs() {
        ..0.001 => format!("{value:.1e}"),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centers(svg: &str) -> Vec<(&str, &str)> {
        svg.lines()
            .filter(|line| line.starts_with("<circle"))
            .map(|line| {
                let parts: Vec<&str> = line.split('"').collect();
                (parts[1], parts[3])
            })
            .collect()
    }

    #[test]
    fn marks_stand_where_their_values_are() {
        let mark = |x, y| Mark { x, y, whole: true, best: y < 0.2 };
        let marks = [mark(1e-4, 1.0), mark(1e-3, 0.1), mark(1e-2, 10.0)];
        let svg = scatter("learning rate", true, &marks);
        // The middle decade in the middle; the least loss at the bottom.
        assert_eq!(centers(&svg), [("52.0", "130.0"), ("320.0", "208.0"), ("588.0", "52.0")]);
        assert_eq!(svg.matches("#dc2626").count(), 1);
        assert!(svg.contains(">1.0e-4<") && svg.contains(">0.010<"), "{svg}");
    }

    #[test]
    fn one_mark_is_in_the_middle() {
        let svg = scatter("trial", false, &[Mark { x: 1.0, y: 0.5, whole: false, best: true }]);
        assert_eq!(centers(&svg), [("320.0", "130.0")]);
    }
}
