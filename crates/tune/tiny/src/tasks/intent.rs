//! Name what a customer wants: sentences from a small grammar, labels from the instruction or known by heart.

use std::sync::OnceLock;

use super::Level;
use crate::conversation::{Conversation, Task};
use crate::draw::Draw;
use crate::words::{CITIES, MONTHS, NAMES, digits};

struct Intent {
    label: &'static str,
    templates: Vec<&'static str>,
}

/// `label: template; template; …`, one intent a line; `(a|b)` is a choice and `{amount}` a slot.
const GRAMMAR: &str = include_str!("intents.txt");

const OPENERS: &[&str] = &[
    "",
    "",
    "",
    "",
    "Hi, ",
    "Hello, ",
    "Please help: ",
    "Hey, ",
    "Sorry, ",
    "So ",
    "Good morning, ",
    "Urgent: ",
];
const CLOSERS: &[&str] = &[
    "",
    "",
    "",
    "",
    " Thanks.",
    " Please help.",
    " What should I do?",
    " Thank you!",
    " Can you help?",
];

fn intents() -> &'static [Intent] {
    static INTENTS: OnceLock<Vec<Intent>> = OnceLock::new();
    INTENTS.get_or_init(|| {
        GRAMMAR
            .lines()
            .filter_map(|line| {
                let (label, templates) = line.split_once(": ")?;
                Some(Intent { label, templates: templates.split("; ").collect() })
            })
            .collect()
    })
}

/// One intent item.
pub fn intent(draw: &mut Draw, level: Level) -> Conversation {
    let all = intents();
    let at = draw.below(all.len());
    let sentence = sentence(draw, &all[at]);
    let label = all[at].label.to_owned();
    let system = if draw.chance(0.5) {
        draw.pick(&[
            "Name the intent.",
            "What does the customer want?",
            "Classify the request.",
            "Intent?",
        ])
        .to_owned()
    } else {
        let others = draw.between(1, [2, 3, 5, 6][level.min(3)]);
        let mut options: Vec<usize> = draw
            .distinct(others + 1, |draw| draw.below(all.len()))
            .into_iter()
            .filter(|&other| other != at)
            .collect();
        options.truncate(others);
        options.push(at);
        draw.shuffle(&mut options);
        let options: Vec<&str> = options.into_iter().map(|option| all[option].label).collect();
        let options = options.join(", ");
        match draw.below(3) {
            0 => format!("Pick one: {options}."),
            1 => format!("Choose the intent from {options}."),
            _ => format!("Labels: {options}. Answer with one."),
        }
    };
    Conversation::new(Task::Intent, system, sentence, label)
}

/// How many intents the grammar has.
#[must_use]
pub fn intent_count() -> usize {
    intents().len()
}

/// A sentence of any intent.
pub fn any_sentence(draw: &mut Draw) -> String {
    let all = intents();
    let at = draw.below(all.len());
    sentence(draw, &all[at])
}

fn sentence(draw: &mut Draw, intent: &Intent) -> String {
    let template = draw.pick(&intent.templates);
    let body = expand(draw, template);
    let opener = draw.pick(OPENERS);
    let body = if opener.is_empty() { crate::words::capitalized(&body) } else { body };
    let body = if draw.chance(0.15) { body.to_lowercase() } else { body };
    format!("{opener}{body}{}", draw.pick(CLOSERS))
}

fn expand(draw: &mut Draw, template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['(', '{']) {
        text.push_str(&rest[..start]);
        let open = rest[start..].starts_with('(');
        let close = if open { ')' } else { '}' };
        let Some(length) = rest[start..].find(close) else { break };
        let inner = &rest[start + 1..start + length];
        if open {
            let choices: Vec<&str> = inner.split('|').collect();
            text.push_str(&{
                let choice = draw.pick(&choices);
                expand(draw, choice)
            });
        } else {
            text.push_str(&slot(draw, inner));
        }
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    text
}

fn slot(draw: &mut Draw, name: &str) -> String {
    match name {
        "amount" => match draw.below(4) {
            0 => format!("${}", digits(draw, 1, 3)),
            1 => format!("{} (EUR)", digits(draw, 1, 3)),
            2 => format!("{}.{}", digits(draw, 1, 2), digits(draw, 2, 2)),
            _ => format!("£{}", digits(draw, 1, 3)),
        },
        "day" => match draw.below(4) {
            0 => format!("{} {}", draw.between(1, 28), draw.pick(MONTHS)),
            1 => draw
                .pick(&[
                    "Monday",
                    "Tuesday",
                    "Wednesday",
                    "Thursday",
                    "Friday",
                    "Saturday",
                    "Sunday",
                ])
                .to_owned(),
            2 => draw
                .pick(&["today", "yesterday", "tomorrow", "this morning", "last night"])
                .to_owned(),
            _ => draw
                .pick(&["last week", "this week", "two days ago", "a week ago", "last month"])
                .to_owned(),
        },
        "number" => digits(draw, 2, 4),
        "few" => draw.between(2, 9).to_string(),
        "city" => draw.pick(CITIES).to_owned(),
        "name" => draw.pick(NAMES).to_owned(),
        "thing" => draw
            .pick(&[
                "phone", "laptop", "jacket", "lamp", "camera", "shoes", "table", "watch", "book",
                "bike", "tablet", "printer", "chair", "dress", "speaker", "kettle",
            ])
            .to_owned(),
        "country" => draw
            .pick(&[
                "France", "Spain", "Germany", "Italy", "Poland", "Brazil", "India", "Japan",
                "Canada", "China", "Portugal", "Ireland", "Sweden", "Norway", "Mexico", "the US",
                "the UK", "Europe",
            ])
            .to_owned(),
        _ => String::new(),
    }
}
