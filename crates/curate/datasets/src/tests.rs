//! Builds from rows, checked as data in, text out.

use crate::{
    BuildConfig, BuildError, DatasetBuild, InputRow, Provenance, ReadLimits, ScrubKind, Split,
    SplitConfig, build, pick, read_rows, read_version, write_rows,
};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

fn row(n: usize, question: &str, answer: &str) -> InputRow {
    InputRow {
        messages: vec![
            json!({"role": "system", "content": "You are the billing desk. Answer in one word."}),
            json!({"role": "user", "content": question}),
        ],
        answer: answer.into(),
        correction: None,
        score: None,
        label: None,
        split: None,
        provenance: Provenance::trace(format!("inf_{n}"), None),
    }
}

/// A question that shares no three words in a row with any other.
fn distinct(n: usize) -> InputRow {
    let words: Vec<String> = (0..8).map(|word| format!("q{n}w{word}")).collect();
    row(n, &words.join(" "), &format!("a{}", n % 5))
}

fn built(rows: Vec<InputRow>, config: &BuildConfig) -> DatasetBuild {
    build("desk@1", "traces", rows, Vec::new(), 0, config).unwrap()
}

fn shown(build: &DatasetBuild) -> String {
    let mut text = String::new();
    for row in &build.rows {
        let question = row.messages.last().unwrap()["content"].as_str().unwrap();
        writeln!(
            text,
            "{question} -> {} ({})",
            row.answer,
            row.provenance.inference_id.as_deref().unwrap_or("-")
        )
        .unwrap();
    }
    write!(text, "{:?} {:?}", build.dropped, build.scrubbed).unwrap();
    text
}

fn only(change: impl FnOnce(&mut BuildConfig)) -> BuildConfig {
    let mut config = BuildConfig {
        use_corrections: false,
        only_judged: false,
        scrub: Vec::new(),
        exact_dedup: false,
        near_dedup: None,
        split: None,
    };
    change(&mut config);
    config
}

#[test]
fn corrections_win_over_answers_and_unjudged_rows_are_counted() {
    let rows = || {
        vec![
            InputRow { correction: Some("right".into()), ..row(0, "one", "wrong") },
            InputRow { score: Some(1.0), ..row(1, "two", "good") },
            InputRow { score: Some(0.0), ..row(2, "three", "bad") },
            row(3, "four", "unseen"),
        ]
    };
    let build = built(
        rows(),
        &only(|config| {
            config.use_corrections = true;
            config.only_judged = true;
        }),
    );
    insta::assert_snapshot!(shown(&build), @r##"
    one -> right (inf_0)
    two -> good (inf_1)
    Dropped { exact_duplicate: 0, near_duplicate: 0, unjudged: 2, invalid: 0 } Counts { email: 0, phone: 0, card: 0 }
    "##);
    let build = built(rows(), &only(|_| {}));
    assert_eq!(build.rows[0].answer, "wrong");
    assert_eq!(build.rows.len(), 4);
}

#[test]
fn masks_personal_data_everywhere_in_a_row() {
    let mut rows = vec![
        row(
            0,
            "call +49 30 1234567 or write ana@example.com",
            "card 4111 1111 1111 1111 is blocked",
        ),
        row(1, "nothing here", "2024-03-11"),
    ];
    rows[0].messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_4111111111111111", "type": "function",
         "function": {"name": "send", "arguments": "{\"to\":\"bo@example.org\"}"}}]}));
    rows[0].messages.push(json!({"role": "user", "content": [{"type": "text", "text": "c@d.io"}]}));
    let build = built(rows, &only(|config| config.scrub = ScrubKind::ALL.to_vec()));
    insta::assert_snapshot!(serde_json::to_string(&build.rows[0].messages).unwrap(), @r##"[{"role":"system","content":"You are the billing desk. Answer in one word."},{"role":"user","content":"call [PHONE] or write [EMAIL]"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_4111111111111111","type":"function","function":{"name":"send","arguments":"{\"to\":\"[EMAIL]\"}"}}]},{"role":"user","content":[{"type":"text","text":"[EMAIL]"}]}]"##);
    assert_eq!(build.rows[0].answer, "card [CARD] is blocked");
    assert_eq!((build.scrubbed.email, build.scrubbed.phone, build.scrubbed.card), (3, 1, 1));
}

#[test]
fn of_equal_inputs_the_best_judged_stays() {
    let rows = vec![
        row(0, "Where is my bill?", "no idea"),
        InputRow { score: Some(0.9), ..row(1, "where is  my BILL?", "in the mail") },
        InputRow { correction: Some("online".into()), ..row(2, "Where is my bill?", "x") },
        row(3, "Where is your bill?", "no idea"),
    ];
    let build = built(
        rows,
        &only(|config| {
            config.exact_dedup = true;
            config.use_corrections = true;
        }),
    );
    insta::assert_snapshot!(shown(&build), @r##"
    Where is my bill? -> online (inf_2)
    Where is your bill? -> no idea (inf_3)
    Dropped { exact_duplicate: 2, near_duplicate: 0, unjudged: 0, invalid: 0 } Counts { email: 0, phone: 0, card: 0 }
    "##);
}

#[test]
fn near_duplicates_go_unless_their_answers_differ() {
    let long = |tail: &str| {
        let head: Vec<String> = (0..40).map(|word| format!("word{word}")).collect();
        format!("{} {tail}", head.join(" "))
    };
    let rows = vec![
        row(0, &long("please"), "yes"),
        row(1, &long("thanks"), "yes"),
        row(2, &long("now"), "no"),
        row(3, "something else entirely", "yes"),
    ];
    let build = built(rows, &only(|config| config.near_dedup = Some(0.9)));
    let kept: Vec<&str> =
        build.rows.iter().map(|row| row.provenance.inference_id.as_deref().unwrap()).collect();
    assert_eq!(kept, ["inf_0", "inf_2", "inf_3"]);
    assert_eq!(build.dropped.near_duplicate, 1);
}

fn splitting(seed: u64) -> BuildConfig {
    only(|config| config.split = Some(SplitConfig { seed, ..SplitConfig::default() }))
}

fn splits(build: &DatasetBuild) -> HashMap<String, Split> {
    build.rows.iter().map(|row| (row.hash.clone(), row.split)).collect()
}

#[test]
fn shares_hold_and_a_row_keeps_its_split_when_rows_are_added() {
    let before = built((0..1_000).map(distinct).collect(), &splitting(7));
    assert!((760..=840).contains(&before.sizes.train), "{:?}", before.sizes);
    assert!((70..=130).contains(&before.sizes.test), "{:?}", before.sizes);
    let after = built((0..1_500).rev().map(distinct).collect(), &splitting(7));
    let after = splits(&after);
    for (hash, split) in splits(&before) {
        assert_eq!(after.get(&hash), Some(&split));
    }
    let other = splits(&built((0..1_000).map(distinct).collect(), &splitting(8)));
    assert_ne!(other, splits(&before));
}

#[test]
fn near_duplicates_share_a_split() {
    let variants = |group: usize| {
        (0..4).map(move |variant| {
            let words: Vec<String> = (0..40).map(|word| format!("g{group}w{word}")).collect();
            row(group * 4 + variant, &format!("{} v{variant}", words.join(" ")), "yes")
        })
    };
    let build = built((0..150).flat_map(variants).collect(), &splitting(3));
    let mut of_group: HashMap<String, HashSet<Split>> = HashMap::new();
    for row in &build.rows {
        let text = row.messages[1]["content"].as_str().unwrap();
        let group = text.split('w').next().unwrap().to_owned();
        of_group.entry(group).or_default().insert(row.split);
    }
    assert_eq!(of_group.len(), 150);
    assert!(of_group.values().all(|splits| splits.len() == 1));
    assert!(build.sizes.test > 0 && build.sizes.validation > 0);
    assert_eq!(build.statistics.groups_across_splits, 0);
}

#[test]
fn every_label_with_enough_rows_occurs_in_every_split() {
    let rows = || {
        (0..600)
            .map(|n| InputRow { label: Some(format!("intent{}", n % 100)), ..distinct(n) })
            .collect()
    };
    let mut per_label: HashMap<String, HashSet<Split>> = HashMap::new();
    for row in built(rows(), &splitting(1)).rows {
        per_label.entry(row.label.unwrap()).or_default().insert(row.split);
    }
    assert_eq!(per_label.len(), 100);
    assert!(per_label.values().all(|splits| splits.len() == 3));
}

#[test]
fn a_given_split_is_kept_and_what_it_tears_apart_is_counted() {
    let mut rows = vec![distinct(1), distinct(2), distinct(1)];
    rows[2].split = Some(Split::Test);
    let build = built(rows.clone(), &only(|_| {}));
    assert_eq!((build.sizes.train, build.sizes.test), (2, 1));
    assert_eq!(build.statistics.groups_across_splits, 1);
    let build = built(rows, &only(|config| config.exact_dedup = true));
    assert_eq!((build.sizes.train, build.sizes.test), (1, 1), "the test row stays");
}

#[test]
fn broken_lines_are_named_and_the_rest_is_read() {
    let file = concat!(
        "\u{feff}{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"answer\":\"1\",\"label\":\"x\",\"split\":\"test\"}\n",
        "\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}\n",
        "{\"messages\":[],\"answer\":\"1\"}\n",
        "{\"messages\":[{\"role\":\"robot\",\"content\":\"b\"}],\"answer\":\"1\"}\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}],\"answer\":\" \"}\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}],\"answer\":\"1\",\"split\":\"dev\"}\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":7}],\"answer\":\"1\"}\n",
        "[1,2]\n",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"2\"}]}",
    );
    let mut bytes = file.as_bytes().to_vec();
    bytes.extend_from_slice(b"\n{\"messages\":\"\xff\"}\n");
    bytes.extend_from_slice(format!("{{\"x\":\"{}\"}}\n", "y".repeat(2_000)).as_bytes());
    bytes.extend_from_slice(
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"d\"}],\"answer\":\"3\"}",
    );
    let outcome = read_rows(bytes.as_slice(), ReadLimits { line_bytes: 1_000, rows: 100 }).unwrap();
    let answers: Vec<&str> = outcome.rows.iter().map(|row| row.answer.as_str()).collect();
    assert_eq!(answers, ["1", "2", "3"]);
    assert_eq!(outcome.rows[0].split, Some(Split::Test));
    assert_eq!(outcome.rows[2].provenance.line, Some(14));
    let broken: Vec<String> =
        outcome.broken.iter().map(|row| format!("{}: {}", row.place, row.reason)).collect();
    insta::assert_snapshot!(broken.join("\n"), @r##"
    line 3: EOF while parsing a list, at column 42
    line 4: `messages` is empty
    line 5: `messages[0].role` should be system, developer, user, assistant or tool
    line 6: no `answer`: give one, or end `messages` with the assistant's message
    line 7: the answer is empty
    line 8: unknown variant `dev`, expected one of `train`, `validation`, `test`, at column 70
    line 9: `messages[0].content` is neither text nor parts
    line 10: invalid type: integer `1`, expected a sequence, at column 2
    line 12: not UTF-8 at byte 14
    line 13: longer than 1000 bytes
    "##);
    assert_eq!(outcome.broken_total, outcome.broken.len() as u64);

    let build = build(
        "up@1",
        "an upload",
        outcome.rows,
        outcome.broken,
        outcome.broken_total,
        &only(|_| {}),
    )
    .unwrap();
    assert_eq!(build.dropped.invalid, 10);
    assert_eq!(build.rows.len(), 3);
}

#[test]
fn too_many_lines_are_cut_and_said() {
    let line = "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}],\"answer\":\"1\"}\n";
    let outcome =
        read_rows(line.repeat(5).as_bytes(), ReadLimits { line_bytes: 1_000, rows: 3 }).unwrap();
    assert_eq!((outcome.rows.len(), outcome.broken_total), (3, 1));
    assert!(outcome.broken[0].reason.contains("the rest is not read"));
}

#[test]
fn an_empty_result_says_where_the_rows_went() {
    let rows = vec![row(0, "a", "b"), row(1, "c", "  ")];
    let refused =
        build("desk@1", "traces", rows, Vec::new(), 0, &only(|config| config.only_judged = true));
    insta::assert_snapshot!(refused.unwrap_err(), @r##"no row is left of 2: 0 repeated an input, 0 nearly repeated one, 1 were neither corrected nor approved, 1 could not be used (the first: inf_1: the answer is empty)"##);
    let shares = only(|config| {
        config.split = Some(SplitConfig { train: 0.9, ..SplitConfig::default() });
    });
    let refused = build("desk@1", "traces", vec![distinct(1)], Vec::new(), 0, &shares);
    assert!(matches!(refused, Err(BuildError::Config(said)) if said.contains("add up to")));
}

#[test]
fn file_round_trips_and_its_digest_depends_on_content_alone() {
    let rows = || (0..20).map(distinct).collect::<Vec<_>>();
    let build = built(rows(), &splitting(7));
    let mut file = Vec::new();
    write_rows(&build.rows, &mut file).unwrap();
    assert_eq!(read_version(file.as_slice()).unwrap(), build.rows);
    assert_eq!(pelton_ids::Digest::of(&file), build.digest);
    assert_eq!(built(rows(), &splitting(7)).digest, build.digest);
    let error = read_version(b"{}\n".as_slice()).unwrap_err();
    assert_eq!(error.to_string(), "line 1 of the dataset version is not a row");
    // The order of keys in a message does not matter.
    let swapped = crate::row_hash(&[json!({"content": "x", "role": "user"})], "y");
    assert_eq!(swapped, crate::row_hash(&[json!({"role": "user", "content": "x"})], "y"));
}

#[test]
fn smaller_draws_are_parts_of_larger_ones() {
    let build = built((0..300).map(distinct).collect(), &splitting(7));
    let drawn = |n, seed| -> Vec<u64> {
        pick(&build.rows, Split::Train, n, seed).iter().map(|row| row.index).collect()
    };
    let (few, many) = (drawn(Some(20), 1), drawn(Some(100), 1));
    assert_eq!((few.len(), many.len()), (20, 100));
    assert!(few.iter().all(|index| many.contains(index)));
    assert_ne!(few, drawn(Some(20), 2));
    assert_eq!(drawn(None, 1).len() as u64, build.sizes.train);
    assert!(pick(&build.rows, Split::Train, None, 1).iter().all(|row| row.split == Split::Train));
}

#[test]
fn the_card_tells_what_happened() {
    let mut rows: Vec<InputRow> = (0..6).map(distinct).collect();
    rows.push(InputRow { label: Some("a|b".into()), ..row(7, "mail x@y.org please", "done") });
    rows.push(row(8, "x", ""));
    let build = built(rows, &BuildConfig::default());
    insta::assert_snapshot!(build.card, @r##"
    # desk@1

    Built from traces: 8 rows came in, 7 are kept.

    | split | rows |
    | --- | ---: |
    | train | 5 |
    | validation | 1 |
    | test | 1 |

    | left out because | rows |
    | --- | ---: |
    | same input as another row | 0 |
    | nearly the same input and answer | 0 |
    | neither corrected nor approved | 0 |
    | not usable | 1 |

    Masked (email, card, phone): 1 e-mail addresses, 0 phone numbers, 0 payment-card numbers. Patterns find what they know; names and postal addresses are not looked for.

    Split 0.8/0.1/0.1 by content hash with seed 7, every label with enough rows in every split; near duplicates share a split.

    | length in characters | min | mean | median | 95 % | max |
    | --- | ---: | ---: | ---: | ---: | ---: |
    | input | 79 | 96.1 | 99 | 99 | 99 |
    | answer | 2 | 2.3 | 2 | 4 | 4 |

    | label | rows |
    | --- | ---: |
    | a\|b | 1 |

    First rows that could not be used:

    - inf_8: the answer is empty
    "##);
}
