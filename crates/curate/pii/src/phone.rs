//! Phone numbers: international ones, and national ones written the way people write them.
//!
//! Digits alone do not make a phone number: order numbers, amounts and dates have digits too. A
//! candidate counts when it is written internationally (`+49 …`, `001-…`), in a national pattern
//! (area code in brackets, a leading trunk zero, groups of the usual sizes), or plainly after a
//! word that announces one (`call`, `tel`, `mobile`, …).

use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// Digits in groups, with the signs that people put around them.
static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?:\+|\()?\d(?:[ \u{a0}./-]{0,2}\(?\d\)?)+(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?",
    )
    .ok()
});

/// Words that announce a phone number when they stand within 40 bytes before it.
static ANNOUNCED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:(?:phone|telephone|tele?|tel|call(?:ed|ing)?|dial|fax|mobile|cell|cellphone|handy|whatsapp|sms|text me|reach me|contact|ring|number is|my number|telefon|t[ée]l[ée]phone|m[óo]vil)\b|(?:desk|office|home|work)\s*:)[^\d\n]{0,40}$",
    )
    .ok()
});

/// Words that say a number is something else.
static NAMED_OTHERWISE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?:\b(?:id|no|nr|bill|invoice|order|account|acct|ticket|case|ref|reference|zip|postcode|postal|plz|ssn|social security|iban|version|page|amount|total|price|cost|eur|usd|gbp|chf|isbn|license|licence|passport|policy|serial|tracking|customer)\b|[#$€£¥])[^\w\n]{0,4}(?:(?:number|no|nr|id|code|is)\b[^\w\n]{0,4}){0,2}$",
    )
    .ok()
});

pub(crate) fn find(text: &str) -> Vec<Range<usize>> {
    let Some(candidate) = CANDIDATE.as_ref() else { return Vec::new() };
    candidate
        .find_iter(text)
        .filter_map(|found| {
            let head = text.get(..found.start())?;
            let tail = text.get(found.end()..)?;
            is_phone(head, found.as_str(), tail).then(|| {
                // A bracket opened before the number and closed after it stays outside.
                let unbalanced = found.as_str().starts_with('(') && !found.as_str().contains(')');
                found.start() + usize::from(unbalanced)..found.end()
            })
        })
        .collect()
}

fn is_phone(head: &str, written: &str, tail: &str) -> bool {
    let before = head.chars().next_back();
    let mut following = tail.chars();
    let (after, second) = (following.next(), following.next());
    let glued = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '%' | '€' | '$' | '£');
    if before.is_some_and(|c| glued(c) || matches!(c, '#' | '-' | '+'))
        || after.is_some_and(glued)
        || (before == Some('.') && head.chars().rev().nth(1).is_some_and(|c| c.is_ascii_digit()))
        || (after == Some(':') && second.is_some_and(char::is_alphanumeric))
        || (after == Some('-') && continues_as_id(tail))
        || (after == Some(',') && second.is_some_and(|c| c.is_ascii_digit()))
    {
        return false;
    }
    let number = Written::read(written);
    let near = tail_of(head, 64);
    if looks_like_date(number.main)
        || NAMED_OTHERWISE.as_ref().is_some_and(|other| other.is_match(near))
    {
        return false;
    }
    if number.is_international() || (number.is_national() && !leads_an_address(&number, tail)) {
        return true;
    }
    let announced = ANNOUNCED.as_ref().is_some_and(|words| words.is_match(near));
    announced && (6..=13).contains(&number.digits.len()) && number.groups.len() <= 6
}

/// `-7A`, `-AB`: what is joined by a hyphen belongs to the number, unless it is a word (`-Office`).
fn continues_as_id(tail: &str) -> bool {
    let joined = tail.chars().skip(1).take_while(|c| c.is_alphanumeric());
    let (mut length, mut lower) = (0, false);
    for c in joined {
        length += 1;
        lower |= c.is_lowercase();
        if c.is_ascii_digit() {
            return true;
        }
    }
    length > 0 && !(lower && length > 2)
}

/// `370 3911 Fourth Avenue`: two short groups before a word are house numbers.
fn leads_an_address(number: &Written, tail: &str) -> bool {
    number.groups.len() == 2
        && number.separators == " "
        && number.digits.len() <= 9
        && tail.strip_prefix(' ').is_some_and(|rest| {
            rest.starts_with(char::is_alphabetic)
                && !["office", "home", "fax", "mobile", "cell"].iter().any(|&w| rest.starts_with(w))
        })
}

/// At most the last `limit` bytes of `text`, cut at a character.
fn tail_of(text: &str, limit: usize) -> &str {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}

/// A candidate taken apart.
struct Written<'a> {
    /// Without an extension.
    main: &'a str,
    has_extension: bool,
    digits: String,
    /// Sizes of the groups of digits.
    groups: Vec<usize>,
    /// The separators, each once.
    separators: String,
}

impl<'a> Written<'a> {
    fn read(written: &'a str) -> Self {
        let cut = written.find(|c: char| c.is_ascii_alphabetic());
        let main = cut.and_then(|at| written.get(..at)).unwrap_or(written).trim_end();
        let groups = main
            .split(|c: char| !c.is_ascii_digit())
            .filter(|group| !group.is_empty())
            .map(str::len)
            .collect();
        let mut separators = String::new();
        for sign in main.chars().filter(|c| matches!(c, ' ' | '\u{a0}' | '.' | '/' | '-')) {
            if !separators.contains(sign) {
                separators.push(sign);
            }
        }
        let digits = main.chars().filter(char::is_ascii_digit).collect();
        Self { main, has_extension: cut.is_some(), digits, groups, separators }
    }

    /// `+` or `00` with a country code: E.164 allows 15 digits, the shortest in use have 7.
    fn is_international(&self) -> bool {
        let length = self.digits.len();
        if self.main.starts_with('+') || self.main.starts_with("(+") {
            return (7..=15).contains(&length) && !self.digits.starts_with('0');
        }
        self.main.starts_with("00")
            && (10..=17).contains(&length)
            && !self.digits.starts_with("000")
            && (self.groups.len() > 1 || length >= 12)
    }

    /// A national pattern.
    fn is_national(&self) -> bool {
        let length = self.digits.len();
        let one_sign = self.separators.chars().count() <= 1;
        if self.main.starts_with('(') && self.main.contains(')') {
            // (555) 010-2345, (020) 7946 0018, (08) 8747 6301
            return (8..=11).contains(&length) && self.groups.len() >= 2;
        }
        if self.is_north_american() {
            return true;
        }
        let dots = self.separators.contains('.');
        if self.digits.starts_with('0') && !self.digits.starts_with("00") {
            // A trunk zero: 07700 900 123, 0171-1234567, 030/1234567, 01.84.17.61.18.
            let grouped = match self.groups.as_slice() {
                [_] => false,
                [area, rest @ ..] => {
                    (2..=5).contains(area)
                        && rest.iter().all(|group| (2..=8).contains(group))
                        && (!dots || self.groups.iter().all(|&group| group == 2))
                }
                [] => false,
            };
            return (9..=12).contains(&length) && grouped && self.separators != ".-";
        }
        if self.separators == "/" || dots || !one_sign {
            return false;
        }
        // Without a trunk zero, in groups of a size that dates and amounts do not have.
        matches!(
            self.groups.as_slice(),
            [2, 2, 2, 2]          // 60-56-85-91
                | [3 | 4, 4]      // 467 3395, 9472 7916
                | [2, 6]          // 99 668472
                | [3, 2, 3]       // 432 03 163
                | [2, 3, 2, 2]    // 51 516 33 75
                | [2, 3, 3 | 4]   // 21 698 2548
                | [2, 3, 3, 4]    // 21 253 109 8211
                | [3, 3, 3]       // 699 956 915
                | [3, 3, 2, 2]
        ) && !self.reads_as_amount()
    }

    /// NXX-NXX-XXXX with one kind of sign, perhaps behind a 1; with an extension bare digits too.
    fn is_north_american(&self) -> bool {
        let digits = if self.digits.len() == 11 {
            self.digits.strip_prefix('1')
        } else {
            Some(self.digits.as_str())
        };
        let Some(digits) = digits.filter(|digits| digits.len() == 10) else { return false };
        let exchange = |at: usize| digits.as_bytes().get(at).is_some_and(|&byte| byte >= b'2');
        let grouped = matches!(self.groups.as_slice(), [3, 3, 4] | [1, 3, 3, 4]);
        if self.has_extension {
            return exchange(0);
        }
        grouped && exchange(0) && self.separators.chars().count() <= 2
    }

    /// Groups of three behind a short first one, with spaces: `1 234 567`.
    fn reads_as_amount(&self) -> bool {
        self.separators.chars().all(|sign| sign == ' ' || sign == '\u{a0}')
            && self.groups.iter().skip(1).all(|&group| group == 3)
            && self.groups.first().is_some_and(|&first| first < 3)
    }
}

/// 2024-03-11, 11.03.2024, 3/11/24 and the like, also as a span or with a time behind.
fn looks_like_date(written: &str) -> bool {
    let parts: Vec<&str> =
        written.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let value = |part: &str| part.parse::<u32>().unwrap_or(u32::MAX);
    let year = |part: &str| part.len() == 4 && (1_850..=2_150).contains(&value(part));
    let small = |part: &str, most: u32| part.len() <= 2 && (1..=most).contains(&value(part));
    let day_month =
        |a: &str, b: &str| (small(a, 31) && small(b, 12)) || (small(a, 12) && small(b, 31));
    match parts.as_slice() {
        [a, b] => year(a) && year(b),
        [a, b, c, ..] if year(a) => day_month(b, c),
        [a, b, c, ..] if year(c) => day_month(a, b),
        [a, b, c] if c.len() == 2 => day_month(a, b),
        [one] => {
            one.len() == 8
                && one.get(..4).is_some_and(year)
                && one.get(4..6).is_some_and(|month| small(month, 12))
                && one.get(6..).is_some_and(|day| small(day, 31))
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
    fn finds_the_usual_ways_of_writing() {
        for number in [
            "+1 555 010 2345",
            "+49 (0)30 1234567",
            "+447700900123",
            "+46 (0)8 928 571 38",
            "0044 20 7946 0018",
            "001-518-640-0854",
            "(555) 010-2345",
            "(579)888-3058",
            "555-234-0123",
            "259.735.7502x459",
            "1-800-555-0199",
            "07700 900 123",
            "0171-1234567",
            "030/1234567",
            "01.84.17.61.18",
            "0490 75 40 81",
            "60-56-85-91",
            "9472 7916",
            "(08) 8747 6301",
            "555-234-0123 ext. 12",
        ] {
            assert_eq!(found(&format!("it was {number}, then")), [number], "{number}");
        }
    }

    #[test]
    fn plain_digits_need_a_word_that_announces_them() {
        assert_eq!(found("call me at 5403926876 today"), ["5403926876"]);
        assert_eq!(found("my phone number is 4501234"), ["4501234"]);
        assert!(found("we made 5403926876 of them").is_empty());
        assert!(found("my account number is 5403926876").is_empty());
        assert!(found("at 370 3911 Fourth Avenue").is_empty());
        assert_eq!(found("call 370 3911 before noon"), ["370 3911"]);
    }

    #[test]
    fn leaves_dates_amounts_and_ids() {
        for text in [
            "2024-03-11",
            "11.03.2024",
            "03/11/2024",
            "11-03-24",
            "2024-02-01 to 2024-02-29",
            "2019-2024",
            "1 234 567",
            "12 345 678 EUR",
            "1.234.567,89",
            "99.95",
            "10.0.0.1",
            "192.168.100.200",
            "10:20:30",
            "SSN 460-89-9847",
            "460-89-9847",
            "bill 4501 2345",
            "order #450-1234",
            "zip code 53650-1234",
            "ISBN 978-3-16-148410-0",
            "1234567890123456",
            "B-0171-1234567",
            "0171-1234567-AB",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }
}
