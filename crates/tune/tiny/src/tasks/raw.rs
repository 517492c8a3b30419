//! Copying, looking up and selecting on random token ids: the bare mechanisms, without words around them.
//!
//! What a text would need hundreds of tokens for, one supervised answer among them, these say in a few. The
//! mechanisms form here first; texts then only have to use them. Names of rows are drawn from the same ids as
//! their values: where names are a class of their own, "any token of that class" is a shortcut that keeps the
//! mechanism from forming.

use pelton_trainer::Example;

use crate::draw::Draw;
use crate::tokenizer::{ASSISTANT, BOS, EOS, SYSTEM, TinyTokenizer, USER, extend, push};

/// The weight of what says little: an answer's end, and the first token of a text backwards.
const LITTLE: f32 = 0.1;

/// What the items are, and how large at most.
#[derive(Debug, Clone, Copy)]
pub struct Mixture {
    /// Tokens of a copy.
    pub copied: usize,
    /// Pairs of a list.
    pub pairs: usize,
    /// Rows of a list.
    pub rows: usize,
    /// Fields of a row.
    pub fields: usize,
    /// Shares of copies, reversed copies, pairs, pairs that are asked for, and rows.
    pub shares: [f64; 5],
    /// Whether rows have letters as names, as texts do; before the mechanism has formed they must not.
    pub letters: bool,
}

/// One item.
pub fn item(draw: &mut Draw, mixture: Mixture, tokenizer: &TinyTokenizer) -> Example {
    // Mostly the tokens that values are made of: they must be told apart best.
    let values = if draw.chance(0.7) { tokenizer.values() } else { tokenizer.words() };
    match draw.weighted(&mixture.shares) {
        0 => copy(draw, mixture.copied, values),
        1 => reverse(draw, mixture.copied, values),
        2 => pairs(draw, mixture.pairs, false, values),
        3 => pairs(draw, mixture.pairs, true, values),
        _ => {
            let letters = mixture.letters.then(|| tokenizer.letters());
            rows(draw, mixture.rows, mixture.fields, letters, values, tokenizer.words())
        }
    }
}

/// `count` different ids out of `choices`, fewer where there are not so many.
fn ids(draw: &mut Draw, count: usize, choices: &[u32]) -> Vec<u32> {
    draw.distinct(count.min(choices.len()), |draw| choices[draw.below(choices.len())])
}

fn start(tokens: &[u32]) -> Example {
    Example { tokens: tokens.to_vec(), loss_weights: vec![0.0; tokens.len()] }
}

/// Random different ids, at most `most`, then the same again: nothing but induction predicts the second half.
fn copy(draw: &mut Draw, most: usize, choices: &[u32]) -> Example {
    let count = draw.between(4, most);
    let ids = ids(draw, count, choices);
    let mut example = start(&[BOS, USER]);
    extend(&mut example, ids.clone(), 0.0);
    push(&mut example, ASSISTANT, 0.0);
    extend(&mut example, ids, 1.0);
    push(&mut example, EOS, 1.0);
    example
}

/// Random different ids, then the same backwards: each is predicted by what stood before the last one's earlier
/// occurrence. Finding a record by a value after its name needs just that.
fn reverse(draw: &mut Draw, most: usize, choices: &[u32]) -> Example {
    let count = draw.between(4, most);
    let mut ids = ids(draw, count, choices);
    let mut example = start(&[BOS, USER]);
    extend(&mut example, ids.clone(), 0.0);
    push(&mut example, ASSISTANT, 0.0);
    ids.reverse();
    for (at, id) in ids.into_iter().enumerate() {
        push(&mut example, id, if at == 0 { 0.3 } else { 1.0 });
    }
    push(&mut example, EOS, LITTLE);
    example
}

/// Pairs in a list, then pairs out of it again with only the second token to predict: induction over a gap. With
/// `asked`, the repeated key stands as a question and the value as its answer, at times the other way round, and a
/// key that is in no pair is answered with the system's one token.
fn pairs(draw: &mut Draw, most_rows: usize, asked: bool, choices: &[u32]) -> Example {
    let rows = draw.between(1, most_rows);
    let mut fresh = ids(draw, 2 * rows + 3, choices).into_iter().cycle();
    let mut next = || fresh.next().unwrap_or(EOS);
    let (absent, row_end, missing) = (next(), next(), next());
    let pairs: Vec<(u32, u32)> = (0..rows).map(|_| (next(), next())).collect();
    let mut example = start(&[BOS, SYSTEM, absent, USER]);
    for (key, value) in &pairs {
        extend(&mut example, vec![*key, *value, row_end], 0.0);
    }
    for question in 0..draw.between(3, 8) {
        let (key, value) = pairs[draw.below(rows)];
        if !asked {
            push(&mut example, key, 0.0);
            push(&mut example, value, 1.0);
            push(&mut example, row_end, 0.0);
            continue;
        }
        if question > 0 {
            push(&mut example, USER, 0.0);
        }
        let (known, answer) = match draw.below(5) {
            0 => (missing, absent),
            1 => (value, key),
            _ => (key, value),
        };
        extend(&mut example, vec![known, ASSISTANT], 0.0);
        push(&mut example, answer, 1.0);
        push(&mut example, EOS, LITTLE);
    }
    example
}

/// Rows of a name, labels and values; then values in any order, each with the name of its row after it. Values
/// are one token or two, names too; the labels before values, up to two words each, are the same in all rows.
fn rows(
    draw: &mut Draw,
    most_rows: usize,
    most_fields: usize,
    letters: Option<&[u32]>,
    values: &[u32],
    words: &[u32],
) -> Example {
    let rows = draw.between(2, most_rows);
    let fields = draw.between(1, most_fields);
    let value_length = draw.between(1, 2);
    let name_length = if draw.chance(0.4) { 2 } else { 1 };
    let asked = draw.chance(0.5);
    let labels = ids(draw, 2 * fields + 1, words);
    let labels_before: Vec<usize> = (0..fields).map(|_| draw.below(3)).collect();
    let row_end = labels[2 * fields];
    let needed = rows * (name_length + fields * value_length);
    let mut fresh = ids(draw, needed, values).into_iter().cycle();
    let mut next = |count| fresh.by_ref().take(count).collect::<Vec<u32>>();
    let mut names: Vec<Vec<u32>> = (0..rows).map(|_| next(name_length)).collect();
    if let Some(letters) = letters {
        for (name, letter) in names.iter_mut().zip(ids(draw, rows, letters)) {
            name[0] = letter;
        }
    }
    let table: Vec<Vec<Vec<u32>>> =
        (0..rows).map(|_| (0..fields).map(|_| next(value_length)).collect()).collect();

    let mut example = start(&[BOS, USER]);
    for (name, row) in names.iter().zip(&table) {
        extend(&mut example, name.clone(), 0.0);
        for (at, value) in row.iter().enumerate() {
            extend(&mut example, labels[2 * at..2 * at + labels_before[at]].to_vec(), 0.0);
            extend(&mut example, value.clone(), 0.0);
        }
        push(&mut example, row_end, 0.0);
    }
    let mut questions: Vec<(usize, usize)> =
        (0..rows).flat_map(|row| (0..fields).map(move |at| (row, at))).collect();
    draw.shuffle(&mut questions);
    questions.truncate(draw.between(4, 12));
    for (question, (row, at)) in questions.into_iter().enumerate() {
        if asked && question > 0 {
            push(&mut example, USER, 0.0);
        }
        extend(&mut example, table[row][at].clone(), 0.0);
        if asked {
            push(&mut example, ASSISTANT, 0.0);
        }
        extend(&mut example, names[row].clone(), 1.0);
        push(&mut example, if asked { EOS } else { row_end }, if asked { LITTLE } else { 0.0 });
    }
    example
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abilities::answers;

    fn tokens(range: std::ops::Range<u32>) -> Vec<u32> {
        range.collect()
    }

    #[test]
    fn a_reversed_copy_is_the_text_backwards() {
        let values = tokens(100..160);
        for index in 0..50 {
            let example = reverse(&mut Draw::at(1, 0, index), 12, &values);
            let middle = example.tokens.iter().position(|token| *token == ASSISTANT).unwrap();
            let backwards: Vec<u32> = example.tokens[2..middle].iter().rev().copied().collect();
            assert_eq!(example.tokens[middle + 1..example.tokens.len() - 1], backwards);
        }
    }

    #[test]
    fn a_value_is_answered_with_the_nearest_name_before_it() {
        let (values, words, letters) = (tokens(100..180), tokens(200..260), tokens(300..326));
        for index in 0..200 {
            let letters = (index % 2 == 0).then_some(&letters[..]);
            let example = rows(&mut Draw::at(1, 0, index), 6, 3, letters, &values, &words);
            let found = answers(&example);
            let names: Vec<u32> = found.iter().map(|answer| example.tokens[answer.start]).collect();
            for answer in found {
                let before = &example.tokens[..answer.start];
                let known = *before.iter().rfind(|token| **token != ASSISTANT).unwrap();
                let place = before.iter().position(|token| *token == known).unwrap();
                let nearest = before[..place].iter().rfind(|token| names.contains(token)).unwrap();
                assert_eq!(*nearest, example.tokens[answer.start]);
            }
        }
    }
}
