//! Payment-card numbers: 12 to 19 digits with single separators, of a known issuer, Luhn-valid.

use std::ops::Range;

pub(crate) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !byte.is_ascii_digit() {
            at += 1;
            continue;
        }
        let run = digit_run(bytes, at);
        let end = run.last().map_or(at + 1, |&last| last + 1);
        if !joins_a_word(text, at, end)
            && let Some((first, last)) = card_in(bytes, &run)
        {
            found.push(first..last + 1);
        }
        at = end;
    }
    found
}

/// Positions of the digits from `start` on that are at most one separator apart.
fn digit_run(bytes: &[u8], start: usize) -> Vec<usize> {
    let mut run = vec![start];
    let mut at = start + 1;
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(byte), _) if byte.is_ascii_digit() => run.push(at),
            (Some(b' ' | b'-' | b'.'), Some(next)) if next.is_ascii_digit() => {
                at += 1;
                run.push(at);
            }
            _ => return run,
        }
        at += 1;
    }
}

/// Whether a letter, digit or decimal sign touches the run, so that it is part of something larger.
fn joins_a_word(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|head| head.chars().next_back());
    let after = text.get(end..).and_then(|tail| tail.chars().next());
    before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '+'))
        || after.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The longest card that spans whole groups of the run, as positions of its first and last digit.
fn card_in(bytes: &[u8], run: &[usize]) -> Option<(usize, usize)> {
    // Group borders: where a separator stands between two digits.
    let mut starts = vec![0];
    starts.extend(
        (1..run.len()).filter(|&i| run.get(i).zip(run.get(i - 1)).is_some_and(|(b, a)| b - a > 1)),
    );
    let mut ends: Vec<usize> = starts.iter().skip(1).copied().collect();
    ends.push(run.len());
    let mut best: Option<(usize, usize)> = None;
    for (group, &from) in starts.iter().enumerate() {
        for &to in ends.get(group..).unwrap_or_default() {
            let length = to - from;
            if length > 19 {
                break;
            }
            if best.is_some_and(|(a, b)| b - a >= length) {
                continue;
            }
            let positions = run.get(from..to).unwrap_or_default();
            let digits: Vec<u8> =
                positions.iter().filter_map(|&at| bytes.get(at)).map(|byte| byte - b'0').collect();
            let groups: Vec<usize> = starts
                .iter()
                .zip(&ends)
                .filter(|&(&start, &end)| start >= from && end <= to)
                .map(|(start, end)| end - start)
                .collect();
            if grouped_like_a_card(&groups) && known_issuer(&digits) && luhn(&digits) {
                best = Some((from, to));
            }
        }
    }
    let (from, to) = best?;
    Some((*run.get(from)?, *run.get(to - 1)?))
}

/// Together, or in groups as printed on cards: fours (with a shorter last one), or 4-6-5, 4-6-4.
fn grouped_like_a_card(groups: &[usize]) -> bool {
    match groups {
        [_] | [4, 6, 4 | 5] => true,
        [fours @ .., last] => {
            fours.len() >= 2 && fours.iter().all(|&group| group == 4) && (1..=4).contains(last)
        }
        [] => false,
    }
}

/// Luhn's checksum over digits, and not all of them zero.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let digit = u32::from(digit);
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, twice @ 0..=9) => twice,
                (_, twice) => twice - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|&digit| digit != 0)
}

/// Issuer ranges (ISO/IEC 7812 prefixes as the networks publish them) with their lengths.
fn known_issuer(digits: &[u8]) -> bool {
    let lead =
        |n: usize| digits.iter().take(n).fold(0_u32, |value, &digit| value * 10 + u32::from(digit));
    let length = digits.len();
    if length < 12 {
        return false;
    }
    match length {
        // Maestro in its old, short form.
        12 => {
            matches!(lead(2), 50 | 56..=58 | 67)
                || matches!(lead(4), 6304 | 6390 | 6759 | 6761..=6763 | 604)
        }
        // Visa.
        13 => lead(1) == 4,
        // Diners Club.
        14 => matches!(lead(3), 300..=305 | 309) || matches!(lead(2), 36 | 38 | 39),
        // American Express, old JCB, UATP.
        15 => matches!(lead(2), 34 | 37) || matches!(lead(4), 1800 | 2131) || lead(1) == 1,
        // 16 to 19: Visa, Mastercard, Discover, JCB, UnionPay, Maestro, Mir, RuPay, Diners.
        16..=19 => {
            matches!(lead(1), 4)
                || (length == 16
                    && (matches!(lead(2), 51..=55) || matches!(lead(4), 2221..=2720 | 2200..=2204)))
                || lead(4) == 6011
                || matches!(lead(2), 30 | 35 | 36 | 38 | 39 | 50 | 56..=58 | 60 | 62..=65 | 67 | 81 | 82)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        find(text).into_iter().filter_map(|range| text.get(range)).collect()
    }

    #[test]
    fn finds_test_cards_of_every_network() {
        for card in [
            "4111111111111111", // Visa
            "4222222222222",    // Visa, 13
            "5555555555554444", // Mastercard
            "2223003122003222", // Mastercard, 2-series
            "378282246310005",  // American Express
            "6011111111111117", // Discover
            "30569309025904",   // Diners Club
            "3530111333300000", // JCB
            "6200000000000005", // UnionPay
            "6304000000000000", // Maestro
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "3782 822463 10005",
            "4131 0342 8245 8809 939",
        ] {
            assert_eq!(found(&format!("card {card}.")), [card], "{card}");
        }
    }

    #[test]
    fn leaves_what_is_no_card() {
        for text in [
            "4111111111111112", // Luhn
            "9111111111111118", // no issuer
            "0000000000000000",
            "x4111111111111111",
            "41111111111111110", // 17 digits, Luhn fails
            "2024-01-01 2024-01-31",
            "41 11 11 11 11 11 11 11", // grouped like no card
            "411111111",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn finds_a_card_beside_other_numbers() {
        assert_eq!(found("12 4111 1111 1111 1111"), ["4111 1111 1111 1111"]);
        assert_eq!(found("exp 12/27 5555 5555 5555 4444 cvc 123"), ["5555 5555 5555 4444"]);
    }
}
