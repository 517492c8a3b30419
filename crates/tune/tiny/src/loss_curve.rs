//! The loss curve of a run as a small SVG, for the model card.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 44.0;

/// Draws `points` of (tokens seen, loss in nats per weighted token); at most `most` of them, averaged.
#[must_use]
pub fn svg(points: &[(u64, f32)], most: usize) -> String {
    let points = thin(points, most);
    let last_x = points.last().map_or(1.0, |(x, _)| *x).max(1.0);
    let top = points.iter().map(|(_, y)| *y).fold(0.1, f64::max);
    let place = |x: f64, y: f64| {
        (
            MARGIN + x / last_x * (WIDTH - 2.0 * MARGIN),
            HEIGHT - MARGIN - y / top * (HEIGHT - 2.0 * MARGIN),
        )
    };
    let mut line = String::new();
    for (x, y) in &points {
        let (x, y) = place(*x, *y);
        let _ = write!(line, "{x:.1},{y:.1} ");
    }
    let (left, right, bottom) = (MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN);
    let mut text = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11" fill="#555">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<path d="M{left} {MARGIN}V{bottom}H{right}" stroke="#999" fill="none"/>
"##
    );
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let (x, y) = place(last_x * share, top * share);
        let _ = writeln!(
            text,
            r#"<text x="{x:.0}" y="{:.0}" text-anchor="middle">{:.0}M</text>"#,
            bottom + 16.0,
            last_x * share / 1e6
        );
        let _ = writeln!(
            text,
            r#"<text x="{:.0}" y="{:.0}" text-anchor="end">{:.2}</text>"#,
            left - 6.0,
            y + 4.0,
            top * share
        );
    }
    let _ = writeln!(
        text,
        r##"<polyline points="{}" fill="none" stroke="#2563eb" stroke-width="1.5"/>"##,
        line.trim_end()
    );
    let _ = writeln!(
        text,
        r#"<text x="{:.0}" y="{:.0}" text-anchor="middle">tokens</text>"#,
        WIDTH / 2.0,
        HEIGHT - 8.0
    );
    let _ = writeln!(
        text,
        r#"<text x="{left}" y="{:.0}">training loss (nats per weighted token)</text>"#,
        MARGIN - 14.0
    );
    text.push_str("</svg>\n");
    text
}

/// Averages neighbors so that at most `most` points are left.
#[expect(clippy::cast_precision_loss, reason = "a drawing")]
fn thin(points: &[(u64, f32)], most: usize) -> Vec<(f64, f64)> {
    let width = points.len().div_ceil(most.max(1)).max(1);
    points
        .chunks(width)
        .map(|chunk| {
            let mean = chunk.iter().map(|(_, y)| f64::from(*y)).sum::<f64>() / chunk.len() as f64;
            (chunk.last().map_or(0.0, |(x, _)| *x as f64), mean)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_curve_has_as_many_points_as_asked_and_ends_at_the_right_edge() {
        let points: Vec<(u64, f32)> =
            (1..=1_000).map(|step| (step * 4_000, 4.0 / step as f32)).collect();
        let svg = super::svg(&points, 100);
        let line = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.split(' ').count(), 100);
        assert!(line.split(' ').next_back().unwrap().starts_with("596.0,"));
        assert!(svg.contains(">4M<"));
    }
}
