//! A list of pairs and one question about it; keys that are not there are answered as the instruction says.

use super::Level;
use crate::conversation::{Conversation, Task};
use crate::draw::Draw;
use crate::words::{CITIES, NAMES, digits, made_up, word};

/// One lookup item with `turns` questions about the same list.
pub fn lookup(draw: &mut Draw, level: Level, turns: usize) -> Conversation {
    let most = [4, 6, 8, 12][level.min(3)];
    let count = draw.between(2, most);
    let value_kind = draw.below(6);
    let key_kind = draw.below(4);
    let mut keys = draw.distinct(count + 1, |draw| match key_kind {
        0 | 1 => word(draw),
        2 => digits(draw, 2, 3),
        _ => draw.pick(NAMES).to_owned(),
    });
    let count = keys.len() - 1;
    let values = draw.distinct(count, |draw| match value_kind {
        0 => word(draw),
        1 => digits(draw, 1, 4),
        2 => made_up(draw),
        3 => format!("{}.{}", digits(draw, 1, 2), digits(draw, 2, 2)),
        4 => draw.pick(CITIES).to_owned(),
        _ => format!(
            "{}{}",
            draw.pick(&["A", "B", "C", "K", "M", "R", "T", "X"]),
            digits(draw, 2, 3)
        ),
    });
    let count = count.min(values.len());
    let absent_key = keys.pop().unwrap_or_default();
    let (between, after) = draw
        .pick(&[
            &[": ", "\n"] as &[&str],
            &["=", ", "],
            &[" = ", "\n"],
            &[" is ", ". "],
            &[" -> ", "; "],
            &[" ", "\n"],
            &[":", " "],
        ])
        .split_at(1);
    let list: Vec<String> =
        (0..count).map(|at| format!("{}{}{}", keys[at], between[0], values[at])).collect();
    let list = list.join(after[0]);
    let absent = draw.pick(&["none", "none", "unknown", "missing", "not there"]);
    let system = match draw.below(3) {
        0 if absent == "none" => String::new(),
        1 => format!("Answer from the list. If it is not there, say {absent}."),
        _ => format!("Look it up. Say {absent} if absent."),
    };
    let list_last = draw.chance(0.2);
    let turns = (0..turns.max(1))
        .map(|turn| {
            let (question, answer) =
                question(draw, &keys[..count], &values[..count], &absent_key, absent);
            let user = match (turn, list_last) {
                (0, true) => format!("{question}\n{list}"),
                (0, false) => format!("{list}\n{question}"),
                _ => question,
            };
            (user, answer)
        })
        .collect();
    Conversation::from_turns(Task::Lookup, system, turns)
}

fn question(
    draw: &mut Draw,
    keys: &[String],
    values: &[String],
    absent_key: &str,
    absent: &str,
) -> (String, String) {
    let at = draw.below(keys.len());
    if draw.chance(0.25) {
        (ask_value(draw, absent_key), absent.to_owned())
    } else if draw.chance(0.3) {
        // Asking for a key by its value has one answer where values differ, as they do here.
        let asked = &values[at];
        let question = match draw.below(3) {
            0 => format!("Which key has {asked}?"),
            1 => format!("What has the value {asked}?"),
            _ => format!("Key of {asked}?"),
        };
        (question, keys[at].clone())
    } else {
        (ask_value(draw, &keys[at]), values[at].clone())
    }
}

fn ask_value(draw: &mut Draw, key: &str) -> String {
    match draw.below(4) {
        0 => format!("What is {key}?"),
        1 => format!("Value of {key}?"),
        2 => format!("{key}?"),
        _ => format!("Give {key}."),
    }
}
