//! The corpus under an independent reader: it sees prompts only, and must come to the same answers.

use std::collections::HashSet;

use crate::conversation::{Conversation, Task};
use crate::corpus::{Corpus, STAGES};
use crate::regression;
use crate::source::CorpusSource;
use crate::split::Split;
use crate::tokenizer::{CHAT_TEMPLATE, SPECIAL, TinyTokenizer};
use pelton_trainer::ExampleSource;

fn tokenizer() -> TinyTokenizer {
    TinyTokenizer::train(&Corpus::new(1, Split::Train), 300, 2_048).unwrap()
}

/// Answers a single-question copy, lookup or compare prompt; none where it does not understand it.
fn solve(item: &Conversation) -> Option<String> {
    match item.task {
        Task::Copy => {
            let (instruction, text) = item.user.split_once(": ")?;
            ["Repeat", "Copy", "Say exactly", "Write the same", "Echo", "Once more"]
                .contains(&instruction)
                .then(|| text.to_owned())
        }
        Task::Lookup => {
            let (list, question) = item.user.split_once('\n')?;
            let asked = question.strip_prefix("Value of ")?.strip_suffix('?')?;
            let mut pairs = list.split(", ").map(|pair| pair.split_once('='));
            if pairs.clone().any(|pair| pair.is_none()) {
                return None;
            }
            let value = pairs
                .find_map(|pair| pair.filter(|(key, _)| *key == asked))
                .map(|(_, value)| value.to_owned());
            let absent = ["unknown", "missing", "not there"]
                .into_iter()
                .find(|word| item.system.contains(word));
            Some(value.unwrap_or_else(|| absent.unwrap_or("none").to_owned()))
        }
        Task::Compare => {
            let numbers: Vec<f64> = item
                .user
                .split(|letter: char| !letter.is_ascii_digit() && letter != '.')
                .filter_map(|word| word.trim_matches('.').parse().ok())
                .collect();
            let words: Vec<&str> = item.user.split([' ', ',', '?', ':']).collect();
            let show = |value: f64| {
                words
                    .iter()
                    .find(|word| word.parse::<f64>().is_ok_and(|other| other == value))
                    .map(|word| (*word).to_owned())
            };
            let (most, least) = (
                numbers.iter().copied().fold(f64::MIN, f64::max),
                numbers.iter().copied().fold(f64::MAX, f64::min),
            );
            match words[..] {
                [a, "+", b, "="] => {
                    Some((a.parse::<u32>().ok()? + b.parse::<u32>().ok()?).to_string())
                }
                ["Is", ..] => Some(if numbers[0] > numbers[1] { "yes" } else { "no" }.to_owned()),
                _ if ["arger", "more", "ighest", "argest", "aximum"]
                    .iter()
                    .any(|word| item.user.contains(word)) =>
                {
                    show(most)
                }
                _ => show(least),
            }
        }
        _ => None,
    }
}

/// Reads a record prompt in one of the `label: value` layouts and answers its question.
fn solve_records(item: &Conversation) -> Option<String> {
    let (list, question) = item.user.rsplit_once('\n')?;
    let question = question.trim_start_matches("Question: ").trim_start_matches("Q: ");
    let rows: Vec<Vec<(&str, &str)>> = list
        .lines()
        .map(|line| {
            line.split(", ").map(|field| field.split_once(": ")).collect::<Option<Vec<_>>>()
        })
        .collect::<Option<_>>()?;
    // "Which NOUN has LABEL VALUE?" names the label and the value, which may both have spaces.
    let asked = question.strip_prefix("Which ")?.strip_suffix('?')?;
    let (_, asked) = asked.split_once(" has ")?;
    let label = rows[0]
        .iter()
        .map(|(label, _)| *label)
        .find(|label| asked.strip_prefix(label).is_some_and(|rest| rest.starts_with(' ')))?;
    let value = &asked[label.len() + 1..];
    let row = rows.iter().find(|row| row.contains(&(label, value)));
    // Both forms of the answer stand in the instruction; an answer must be one of them, filled in.
    let forms: Vec<&str> =
        item.system.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
    let [found, absent] = forms[..] else { return None };
    let Some(row) = row else { return Some(format!("{{{absent}}}")) };
    let fields: Vec<String> = found
        .split(',')
        .enumerate()
        .map(|(at, field)| {
            let (key, old) = field.split_once(':')?;
            if at == 0 && !absent.is_empty() {
                return Some(format!("{key}:{old}"));
            }
            let name = key.trim_matches('"');
            let value = row
                .iter()
                .filter(|(label, _)| name.ends_with(&label.replace(' ', "_")))
                .max_by_key(|(label, _)| label.len())?
                .1;
            Some(format!("{key}:\"{value}\""))
        })
        .collect::<Option<_>>()?;
    Some(format!("{{{}}}", fields.join(",")))
}

#[test]
fn an_independent_reader_comes_to_the_same_answers() {
    let corpus = Corpus::new(11, Split::Train);
    for task in [Task::Copy, Task::Lookup, Task::Compare] {
        let mut understood = 0;
        for index in 0..1_500 {
            let item = corpus.single(task, index);
            if let Some(answer) = solve(&item) {
                understood += 1;
                assert_eq!(answer, item.answer, "{} | {}", item.system, item.user);
            }
        }
        assert!(understood > 15, "{task:?}: {understood}");
    }
    let mut understood = 0;
    for index in 0..8_000 {
        for task in [Task::Select, Task::Bill] {
            let item = corpus.single(task, index);
            if let Some(answer) = solve_records(&item) {
                understood += 1;
                assert_eq!(answer, item.answer, "{} | {}", item.system, item.user);
            }
        }
    }
    assert!(understood > 100, "{understood}");
}

#[test]
fn filled_values_stand_in_the_text() {
    let corpus = Corpus::new(5, Split::Train);
    for index in 0..500 {
        let item = corpus.single(Task::Fill, index);
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&item.answer).unwrap();
        for (key, value) in object {
            let value = value.as_str().unwrap();
            assert!(value == "none" || item.user.contains(value), "{key}: {}", item.user);
            assert!(item.system.contains(&key), "{key}: {}", item.system);
        }
    }
}

#[test]
fn items_are_pure_functions_of_seed_and_index() {
    for stage in 0..STAGES {
        let (a, b) = (Corpus::new(3, Split::Train), Corpus::new(4, Split::Train));
        assert_eq!(a.conversation(stage, 9), a.conversation(stage, 9));
        assert!((0..20).any(|index| a.conversation(stage, index) != b.conversation(stage, index)));
    }
}

#[test]
fn splits_share_no_question() {
    let train = Corpus::new(1, Split::Train);
    let seen: HashSet<String> = (0..3_000)
        .map(|index| {
            train
                .conversation(3 + usize::try_from(index % 3).unwrap(), index)
                .first_user()
                .to_owned()
        })
        .chain((0..1_000).map(|index| regression::rehearsal(1, index).user))
        .collect();
    let held_out = regression::items();
    assert!(held_out.iter().all(|item| !seen.contains(item.first_user())));
    let validation = Corpus::new(1, Split::Validation);
    for task in Task::ALL {
        assert!((0..50).all(|index| !seen.contains(validation.single(task, index).first_user())));
    }
}

#[test]
fn the_regression_set_has_all_tasks_in_equal_parts_and_exports_as_json_lines() {
    let items = regression::items();
    for task in Task::ALL {
        assert_eq!(
            items.iter().filter(|item| item.task == task).count(),
            items.len() / Task::ALL.len()
        );
    }
    let mut lines = Vec::new();
    regression::write_jsonl(&items[..3], &mut lines).unwrap();
    let first: serde_json::Value =
        serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["answer"], items[0].answer.as_str());
    assert_eq!(first["messages"][0]["content"], items[0].messages()[0].1);
}

#[test]
fn encoding_agrees_with_the_rendered_template_and_weighs_answers_only() {
    let tokenizer = tokenizer();
    let corpus = Corpus::new(2, Split::Train);
    for index in 0..60 {
        let item = corpus.conversation(3 + usize::try_from(index % 3).unwrap(), index);
        let example = tokenizer.encode(&item).unwrap();
        let whole = tokenizer.ids(&format!("{}{}<eos>", item.prompt(), item.answer)).unwrap();
        assert_eq!(example.tokens, whole);
        let prompt = tokenizer.prompt(&item).unwrap();
        assert_eq!(prompt, whole[..prompt.len()]);
        assert_eq!(tokenizer.text(&whole[prompt.len()..]).unwrap(), item.answer);
        assert!(example.loss_weights[prompt.len()..].iter().all(|weight| *weight > 0.99));
        if item.shots.is_empty() {
            assert!(example.loss_weights[..prompt.len()].iter().all(|weight| *weight == 0.0));
        }
    }
}

#[test]
fn the_tokenizer_is_the_same_each_time_and_words_and_numbers_are_one_token_wherever_they_stand() {
    let (a, b) = (tokenizer(), tokenizer());
    let text = "Bill 417 of 12 Mar: 48.20 £";
    assert_eq!(a.ids(text).unwrap(), b.ids(text).unwrap());
    for number in 0..100 {
        for text in [number.to_string(), format!("{number:02}")] {
            assert_eq!(a.ids(&text).unwrap().len(), 1, "{text}");
        }
    }
    assert_eq!(a.ids("4820").unwrap().len(), 2);
    assert_eq!(a.values().len(), 112);
    for word in crate::words::word_list() {
        let alone = a.ids(word).unwrap();
        assert_eq!(alone.len(), 1, "{word}");
        assert!(a.ids(&format!("{{\"x\":\"{word}\"}}")).unwrap().contains(&alone[0]));
        assert_eq!(a.ids(&format!("a {word}")).unwrap().last(), alone.first());
    }
    assert_eq!(a.text(&a.ids(text).unwrap()).unwrap(), text);
    for (id, token) in SPECIAL.iter().enumerate() {
        assert_eq!(a.ids(token).unwrap(), [u32::try_from(id).unwrap()]);
    }
    assert!(CHAT_TEMPLATE.contains("<|assistant|>"));
}

#[test]
fn the_stage_follows_the_tokens_seen() {
    let stages = vec![(0, 0), (1_000, 1), (5_000, 3)];
    let source = CorpusSource::new(Corpus::new(1, Split::Train), tokenizer(), stages, 7, 384);
    let stages: Vec<usize> =
        [0, 999, 1_000, 4_999, 9_000].into_iter().map(|seen| source.stage(seen)).collect();
    assert_eq!(stages, [0, 0, 1, 1, 3]);
    assert_eq!(source.example(5, 13_000_000), source.example(5, 14_000_000));
    assert!((0..200).all(|index| source.example(index, 14_000_000).tokens.len() <= 384));
}
