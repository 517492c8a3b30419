//! Random logits under a grammar: whatever the model would like to say, the answer follows.

use std::path::Path;

use pelton_tokens::TextCodec;
use serde_json::{Value, json};

use crate::{Compiler, Grammar, GrammarError};

fn codec() -> TextCodec {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/pelton-tiny");
    TextCodec::load(&root).unwrap()
}

/// A small generator of numbers, the same on every machine (xorshift64*).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// An answer of random tokens among the allowed ones; none where it does not end within 600 tokens.
fn answer(codec: &TextCodec, compiler: &Compiler, grammar: &Grammar, seed: u64) -> Option<String> {
    let vocab = codec.vocab_size();
    let mut constraint = compiler.compile(grammar).unwrap();
    let mut noise = Noise(seed * 2 + 1);
    let mut tokens = Vec::new();
    while tokens.len() < 600 {
        let mut logits: Vec<f32> = (0..vocab).map(|_| (noise.next() >> 40) as f32).collect();
        // Quotes and brackets are few among the tokens: with the same chance as others texts would not end.
        for token in 0..vocab as u32 {
            if codec.token_bytes().get(token).iter().any(|byte| b"\"}],".contains(byte)) {
                logits[token as usize] *= 1.3;
            }
        }
        constraint.mask(&mut logits).unwrap();
        let best = (0..vocab).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32;
        assert!(logits[best as usize].is_finite(), "nothing is allowed");
        constraint.accept(best).unwrap();
        if codec.eos().contains(&best) {
            return Some(codec.decode(&tokens));
        }
        tokens.push(best);
        if constraint.is_complete() {
            return Some(codec.decode(&tokens));
        }
    }
    None
}

fn answers(grammar: &Grammar) -> Vec<String> {
    let codec = codec();
    let compiler = Compiler::new(&codec, codec.vocab_size()).unwrap();
    let found: Vec<String> =
        (0..12).filter_map(|seed| answer(&codec, &compiler, grammar, seed)).collect();
    assert!(found.len() >= 6, "only {} answers came to their end", found.len());
    found
}

#[test]
fn answers_follow_a_json_schema() {
    let schema = json!({
        "type": "object",
        "properties": {
            "bill_found": { "enum": ["true", "false"] },
            "count": { "type": "integer", "minimum": 0, "maximum": 99 },
            "tags": { "type": "array", "items": { "$ref": "#/$defs/tag" }, "maxItems": 2 }
        },
        "$defs": { "tag": { "type": "string", "maxLength": 5 } },
        "required": ["bill_found", "count", "tags"],
        "additionalProperties": false
    });
    for text in answers(&Grammar::JsonSchema(schema)) {
        let value: Value = serde_json::from_str(&text).unwrap();
        let object = value.as_object().unwrap();
        assert_eq!(object.len(), 3, "{text}");
        assert!(["true", "false"].contains(&object["bill_found"].as_str().unwrap()));
        assert!(object["count"].as_u64().unwrap() <= 99);
        let tags = object["tags"].as_array().unwrap();
        assert!(tags.len() <= 2);
        assert!(tags.iter().all(|tag| tag.as_str().unwrap().chars().count() <= 5), "{text}");
    }
}

#[test]
fn answers_are_json_objects() {
    for text in answers(&Grammar::json_object()) {
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value.is_object(), "{text}");
    }
}

#[test]
fn answers_match_a_regular_expression_and_choices() {
    for text in answers(&Grammar::Regex(r"[0-9]{3}-[a-f]{2}".into())) {
        let bytes = text.as_bytes();
        assert_eq!(bytes.len(), 6, "{text}");
        assert!(bytes[..3].iter().all(u8::is_ascii_digit) && bytes[3] == b'-', "{text}");
        assert!(bytes[4..].iter().all(|byte| (b'a'..=b'f').contains(byte)), "{text}");
    }
    let choices = ["yes", "no", "it \"depends\""].map(str::to_owned);
    for text in answers(&Grammar::Choice(choices.to_vec())) {
        assert!(choices.contains(&text), "{text}");
    }
    for text in answers(&Grammar::Lark("start: \"a\"+ (\"b\" | \"c\")".into())) {
        let rest = text.trim_start_matches('a');
        assert!(rest == "b" || rest == "c", "{text}");
    }
}

#[test]
fn white_space_has_an_end() {
    let codec = codec();
    let compiler = Compiler::new(&codec, codec.vocab_size()).unwrap();
    let mut constraint = compiler.compile(&Grammar::json_object()).unwrap();
    let space = codec.encode(" ").unwrap()[0];
    constraint.accept(codec.encode("{").unwrap()[0]).unwrap();
    let blanks = (0..100).take_while(|_| constraint.accept(space).is_ok()).count();
    assert!((1..=20).contains(&blanks), "{blanks}");
}

#[test]
fn clones_go_their_own_way() {
    let codec = codec();
    let compiler = Compiler::new(&codec, codec.vocab_size()).unwrap();
    let first = compiler.compile(&Grammar::Choice(vec!["ab".into(), "ba".into()])).unwrap();
    let allowed = |constraint: &mut crate::Constraint| {
        let mut logits = vec![0.0; codec.vocab_size()];
        constraint.mask(&mut logits).unwrap();
        logits.iter().filter(|logit| logit.is_finite()).count()
    };
    let (mut one, mut other) = (first.clone(), first);
    let before = allowed(&mut other);
    let a = codec.encode("a").unwrap()[0];
    one.accept(a).unwrap();
    assert_eq!(allowed(&mut other), before);
    assert!(one.accept(a).is_err(), "`aa` is no choice");
}

#[test]
fn bad_grammars_are_refused_with_a_reason() {
    let codec = codec();
    let compiler = Compiler::new(&codec, codec.vocab_size()).unwrap();
    let refused = |grammar: Grammar| compiler.compile(&grammar).unwrap_err();
    assert!(matches!(refused(Grammar::Regex("[".into())), GrammarError::Invalid(_)));
    assert!(matches!(refused(Grammar::Lark("start: unknown".into())), GrammarError::Invalid(_)));
    let schema = json!({ "type": "no such type" });
    assert!(matches!(refused(Grammar::JsonSchema(schema)), GrammarError::Invalid(_)));
    // Another document is never fetched.
    let remote = json!({ "$ref": "http://127.0.0.1:1/schema.json" });
    assert!(matches!(refused(Grammar::JsonSchema(remote)), GrammarError::Invalid(_)));
    assert_eq!(refused(Grammar::Choice(Vec::new())), GrammarError::NoChoices);
    let long = Grammar::Regex("a".repeat(300_000));
    assert!(matches!(refused(long), GrammarError::TooLong { .. }));
}
