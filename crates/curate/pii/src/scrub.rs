//! Finds values and puts placeholders in their place.

use crate::{Counts, Kind, card, email, phone};
use std::ops::Range;

/// A value found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: Kind,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

/// The values of these kinds in `text`, in order, none overlapping another.
///
/// Where candidates overlap, an e-mail address wins over a card and a card over a phone number.
#[must_use]
pub fn find(text: &str, kinds: &[Kind]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        let ranges = match kind {
            Kind::Email => email::find(text),
            Kind::Card => card::find(text),
            Kind::Phone => phone::find(text),
        };
        for range in ranges {
            let taken = findings
                .iter()
                .any(|other| range.start < other.range.end && other.range.start < range.end);
            if !taken {
                findings.push(Finding { kind, range });
            }
        }
    }
    findings.sort_by_key(|finding| finding.range.start);
    findings
}

/// `text` with a typed placeholder for every value of these kinds, and how many there were.
#[must_use]
pub fn scrub(text: &str, kinds: &[Kind]) -> (String, Counts) {
    let mut counts = Counts::default();
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for finding in find(text, kinds) {
        clean.push_str(text.get(copied..finding.range.start).unwrap_or_default());
        clean.push_str(finding.kind.placeholder());
        copied = finding.range.end;
        counts.add(finding.kind);
    }
    clean.push_str(text.get(copied..).unwrap_or_default());
    (clean, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        let (clean, counts) = scrub(text, &Kind::ALL);
        assert_eq!(clean, want);
        let placeholders = |text: &str| -> usize {
            Kind::ALL.iter().map(|kind| text.matches(kind.placeholder()).count()).sum()
        };
        assert_eq!(counts.total(), (placeholders(want) - placeholders(text)) as u64);
        assert_eq!(scrub(&clean, &Kind::ALL).0, clean, "a second pass changes nothing");
    }

    #[test]
    fn masks_each_kind_in_place() {
        check(
            "Write to Ana.Lima+bills@mail.example.com or call +1 (555) 010-2345 about 4111 1111 1111 1111.",
            "Write to [EMAIL] or call [PHONE] about [CARD].",
        );
        check("tel:030/1234567, naïve café ☎ 0171-1234567!", "tel:[PHONE], naïve café ☎ [PHONE]!");
    }

    #[test]
    fn keeps_only_the_kinds_asked_for() {
        let (clean, counts) = scrub("a@b.co 4111111111111111", &[Kind::Card]);
        assert_eq!(clean, "a@b.co [CARD]");
        assert_eq!(counts, Counts { card: 1, ..Counts::default() });
    }

    #[test]
    fn leaves_everything_else_alone() {
        for text in [
            "",
            "bill B-20471 of 2024-03-11 for 120.50 EUR, period 2024-02-01 to 2024-02-29",
            "invoice 4111111111111112 is not a card",
            "{\"bill_id\":\"7012\",\"bill_date\":\"2024-01-31\"}",
            "pi is 3.14159265, see v1.2.3.4 at 10.0.0.1:8080",
            "2024-03-11T10:20:30Z and 11/03/2024 10:20",
            "id 018f3c6e-8a1b-7c3d-9e4f-5a6b7c8d9e0f",
            "user@ and @handle and a@b",
            "1,234,567.89 and 1 234 567,89",
            "[EMAIL] [PHONE] [CARD]",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn kinds_have_names() {
        assert_eq!("phone".parse(), Ok(Kind::Phone));
        assert!("ssn".parse::<Kind>().unwrap_err().to_string().contains("email, phone or card"));
    }
}
