//! The telco desk: customers ask which of their bills they mean, the answer is one line of JSON.
//!
//! A seeded generator in place of a telecommunications company's traffic, after the published flywheel
//! case: a list of bill headers (id, bill date, billing period, amount due) and a question; the answer is
//! `{"bill_found":"true","bill_id":…,"bill_date":…}` or `{"bill_found":"false"}`. The generator knows the
//! right answer, so it also plays the expert who corrects wrong ones. Every item is a pure function of
//! (split, seed, index), and a hash of the question's text gives it to one split only.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// What the desk tells the model to do, the same for every question.
pub const SYSTEM: &str = r#"You work at a telco billing desk. Find the bill the customer means. If it is in the list reply {"bill_found":"true","bill_id":"<bill id>","bill_date":"<bill date>"}, otherwise reply {"bill_found":"false"}."#;

/// The answer where no bill matches.
pub const NOT_FOUND: &str = r#"{"bill_found":"false"}"#;

/// The part of the traffic that an item is for; no question is in two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// What customers ask while the desk runs; data to learn from.
    Traffic,
    /// What choices of hyperparameters may look at.
    Dev,
    /// What only the report looks at.
    Test,
}

/// What the question tells about the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The amount due.
    Amount,
    /// The bill date.
    Date,
    /// The billing period.
    Period,
    /// The bill's id.
    Id,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Amount, Self::Date, Self::Period, Self::Id];
}

/// The header of one bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    /// A letter and two digits.
    pub id: String,
    /// Day and month, as in `12 Mar`.
    pub date: String,
    /// A month, the one before the bill's.
    pub period: String,
    /// Two digits, a point and cents, without a currency.
    pub amount: String,
}

/// One question with its one right answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The instruction.
    pub system: &'static str,
    /// The headers and the question, as the model sees them.
    pub prompt: String,
    /// The right answer, byte for byte.
    pub answer: String,
    /// What the question tells about the bill.
    pub kind: Kind,
    /// Which header is meant; none where no bill matches.
    pub target: Option<usize>,
    /// The headers, in the order of the prompt.
    pub headers: Vec<Header>,
}

/// Item `index` of `split` under `seed`.
#[must_use]
pub fn item(split: Split, seed: u64, index: u64) -> Item {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&index.to_le_bytes());
    key[16] = split as u8;
    let mut draw = ChaCha8Rng::from_seed(key);
    loop {
        let item = draw_item(&mut draw);
        if split_of(&item.prompt) == split {
            return item;
        }
    }
}

/// The split that owns a prompt.
#[must_use]
pub fn split_of(prompt: &str) -> Split {
    let hash = prompt.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    match ((hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) & 15 {
        0..=3 => Split::Test,
        4 | 5 => Split::Dev,
        _ => Split::Traffic,
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn draw_item(draw: &mut ChaCha8Rng) -> Item {
    let count = draw.random_range(3..=5);
    let mut headers = draw_headers(draw, count + 1);
    // The last one is in no list: what it says is what no bill has.
    let absent = headers.split_off(count);
    let kind = Kind::ALL[draw.random_range(0..Kind::ALL.len())];
    let target = (!draw.random_bool(0.4)).then(|| draw.random_range(0..count));
    let known = field(target.map_or(&absent[0], |at| &headers[at]), kind).to_owned();
    let question = ask(draw, kind, &known);
    let list = show(draw, &headers);
    let answer = target.map_or_else(|| NOT_FOUND.to_owned(), |at| found(&headers[at]));
    Item {
        system: SYSTEM,
        prompt: format!("{list}\nCustomer: {question}"),
        answer,
        kind,
        target,
        headers,
    }
}

/// The answer that names a bill.
#[must_use]
pub fn found(header: &Header) -> String {
    format!(r#"{{"bill_found":"true","bill_id":"{}","bill_date":"{}"}}"#, header.id, header.date)
}

fn field(header: &Header, kind: Kind) -> &str {
    match kind {
        Kind::Amount => &header.amount,
        Kind::Date => &header.date,
        Kind::Period => &header.period,
        Kind::Id => &header.id,
    }
}

/// At most six headers, for bills of every second month. No two share a part of a value, so that a question has
/// one answer whatever part it gives.
fn draw_headers(draw: &mut ChaCha8Rng, count: usize) -> Vec<Header> {
    let first_month = draw.random_range(0..2);
    let periods = shuffled(draw, 0..MONTHS.len() / 2);
    let days = shuffled(draw, 1..29);
    let letters = shuffled(draw, 0..26);
    let numbers = shuffled(draw, 29..100);
    (0..count)
        .map(|at| {
            let month = 2 * periods[at] + first_month;
            let letter = char::from(b'A' + u8::try_from(letters[at]).unwrap_or(0));
            let [id, whole, cents] = [0, 1, 2].map(|part| numbers[3 * at + part]);
            Header {
                id: format!("{letter}{id}"),
                date: format!("{} {}", days[at], MONTHS[(month + 1) % 12]),
                period: MONTHS[month].to_owned(),
                amount: format!("{whole}.{cents}"),
            }
        })
        .collect()
}

fn shuffled(draw: &mut ChaCha8Rng, range: std::ops::Range<usize>) -> Vec<usize> {
    let mut values: Vec<usize> = range.collect();
    values.shuffle(draw);
    values
}

/// The headers in one of the desk's two layouts.
fn show(draw: &mut ChaCha8Rng, headers: &[Header]) -> String {
    let plain = draw.random_bool(0.5);
    let lines: Vec<String> = headers
        .iter()
        .map(|Header { id, date, period, amount }| {
            if plain {
                format!(
                    "Bill {id} | bill date {date} | billing period {period} | amount due {amount}"
                )
            } else {
                format!("[{id}] issued {date}, service {period}, balance {amount}")
            }
        })
        .collect();
    lines.join("\n")
}

fn ask(draw: &mut ChaCha8Rng, kind: Kind, known: &str) -> String {
    let at = draw.random_range(0..4);
    match kind {
        Kind::Amount => [
            format!("Which bill has an amount due of {known}?"),
            format!("I was charged {known}, which bill is that?"),
            format!("Which one comes to {known}?"),
            format!("Do I owe you {known} on any bill?"),
        ][at]
            .clone(),
        Kind::Date => [
            format!("Which bill was issued on {known}?"),
            format!("Look for my bill dated {known}."),
            format!("I mean the one you sent on {known}."),
            format!("Was there a bill on {known}?"),
        ][at]
            .clone(),
        Kind::Period => [
            format!("Which bill covers {known}?"),
            format!("Which bill is for the billing period {known}?"),
            format!("I ask about service in {known}."),
            format!("Was I billed for {known}?"),
        ][at]
            .clone(),
        Kind::Id => [
            format!("When did you issue bill {known}?"),
            format!("Is bill {known} one of mine?"),
            format!("I have a question on bill {known}."),
            format!("What is the date of bill {known}?"),
        ][at]
            .clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Reads an item's prompt as a reader would, without looking at what the generator knows.
    fn solve(prompt: &str) -> String {
        let (list, question) = prompt.split_once("\nCustomer: ").unwrap();
        let bills: Vec<[String; 4]> = list
            .lines()
            .map(|line| {
                let words: Vec<String> = line
                    .split([' ', ','])
                    .filter(|word| !word.is_empty())
                    .map(|word| word.trim_matches(['[', ']']).to_owned())
                    .collect();
                let is_id = |word: &String| {
                    word.len() == 3 && word[1..].bytes().all(|byte| byte.is_ascii_digit())
                };
                let id = words.iter().find(|word| is_id(word)).unwrap().clone();
                let month = words.iter().position(|word| MONTHS.contains(&word.as_str())).unwrap();
                let date = format!("{} {}", words[month - 1], words[month]);
                let is_month = |word: &&String| MONTHS.contains(&word.as_str());
                let period = words.iter().filter(is_month).nth(1).unwrap().clone();
                let amount = words.iter().find(|word| word.contains('.')).unwrap().clone();
                [id, date, period, amount]
            })
            .collect();
        let asked = question.trim_end_matches(['?', '.']);
        let asked = asked.split(',').next().unwrap();
        let answers: HashSet<String> = bills
            .iter()
            .filter(|bill| {
                bill.iter().any(|value| {
                    let at = asked.find(value.as_str());
                    at.is_some_and(|at| {
                        let before = asked[..at].chars().next_back();
                        let after = asked[at + value.len()..].chars().next();
                        before == Some(' ') && matches!(after, None | Some(' '))
                    })
                })
            })
            .map(|bill| {
                format!(
                    r#"{{"bill_found":"true","bill_id":"{}","bill_date":"{}"}}"#,
                    bill[0], bill[1]
                )
            })
            .collect();
        assert!(answers.len() < 2, "{prompt}");
        answers.into_iter().next().unwrap_or_else(|| r#"{"bill_found":"false"}"#.to_owned())
    }

    #[test]
    fn an_independent_reader_finds_the_same_answers() {
        for index in 0..2_000 {
            let item = item(Split::Traffic, 3, index);
            assert_eq!(solve(&item.prompt), item.answer, "{}", item.prompt);
        }
    }

    #[test]
    fn items_repeat_for_the_same_seed_and_differ_for_another() {
        assert_eq!(item(Split::Test, 1, 7), item(Split::Test, 1, 7));
        assert_ne!(item(Split::Test, 1, 7), item(Split::Test, 2, 7));
    }

    #[test]
    fn splits_share_no_prompt() {
        let prompts = |split| (0..1_000).map(move |index| item(split, 1, index).prompt);
        let traffic: HashSet<String> = prompts(Split::Traffic).collect();
        let dev: HashSet<String> = prompts(Split::Dev).collect();
        assert!(
            prompts(Split::Test).all(|prompt| !traffic.contains(&prompt) && !dev.contains(&prompt))
        );
        assert!(dev.is_disjoint(&traffic));
    }

    #[test]
    fn a_constant_answer_is_right_about_two_times_in_five() {
        let absent =
            (0..2_000).filter(|&index| item(Split::Test, 5, index).answer == NOT_FOUND).count();
        assert!((700..900).contains(&absent), "{absent}");
    }
}
