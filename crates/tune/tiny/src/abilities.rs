//! What a model gets right: exact matches of greedy answers, counted per task.

use std::collections::BTreeMap;
use std::ops::Range;

use pelton_trainer::Example;

use crate::conversation::{Conversation, Task};
use crate::error::TinyError;
use crate::model_card::Ability;
use crate::tokenizer::TinyTokenizer;

/// Counts per task the items whose greedy answer, end token included, would be right to the byte.
///
/// `logits` gives the logits after every token of a sequence, `[T, vocab]` row-major. One pass over prompt
/// and right answer is enough: greedy decoding writes the right answer exactly where each of its tokens has
/// the largest logit after the right tokens before it.
///
/// # Errors
/// The tokenizer's, and whatever `logits` returns.
pub fn measure<E: From<TinyError>>(
    tokenizer: &TinyTokenizer,
    items: &[Conversation],
    mut logits: impl FnMut(&[u32]) -> Result<Vec<f32>, E>,
) -> Result<Vec<Ability>, E> {
    let mut counts: BTreeMap<Task, (usize, usize)> = BTreeMap::new();
    for item in items {
        let prompt = tokenizer.prompt(item)?.len();
        let tokens = tokenizer.encode(item)?.tokens;
        let right = greedy_writes(&logits(&tokens)?, &tokens, prompt..tokens.len());
        let count = counts.entry(item.task).or_default();
        count.0 += usize::from(right);
        count.1 += 1;
    }
    let abilities = counts
        .into_iter()
        .map(|(task, (right, asked))| Ability { task: task.name().to_owned(), right, asked })
        .collect();
    Ok(abilities)
}

/// Whether greedy decoding would write the tokens at `answer` after the ones before them, given the logits after
/// every token.
#[must_use]
pub fn greedy_writes(logits: &[f32], tokens: &[u32], answer: Range<usize>) -> bool {
    let vocab = logits.len() / tokens.len().max(1);
    answer.start > 0
        && answer.into_iter().all(|at| {
            let row = &logits[(at - 1) * vocab..at * vocab];
            let target = tokens[at] as usize;
            // The first of equal logits is the one that greedy decoding takes.
            row.iter().enumerate().all(|(id, value)| {
                id == target || *value < row[target] || (*value == row[target] && id > target)
            })
        })
}

/// Where the answers of `example` stand: the runs of tokens with full weight.
#[must_use]
pub fn answers(example: &Example) -> Vec<Range<usize>> {
    let mut answers: Vec<Range<usize>> = Vec::new();
    let taught = example.loss_weights.iter().enumerate().filter(|(_, weight)| **weight >= 1.0);
    for (at, _) in taught {
        match answers.last_mut() {
            Some(answer) if answer.end == at => answer.end += 1,
            _ => answers.push(at..at + 1),
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use pelton_trainer::Example;

    use super::{answers, greedy_writes};

    #[test]
    fn answers_are_the_runs_of_full_weight() {
        let example =
            Example { tokens: vec![0; 6], loss_weights: vec![0.0, 1.0, 1.0, 0.1, 1.0, 0.0] };
        assert_eq!(answers(&example), [1..3, 4..5]);
    }

    #[test]
    fn an_answer_counts_only_where_every_token_wins() {
        // Three tokens of a vocabulary of two; the prompt is the first.
        let tokens = [0, 1, 0];
        assert!(greedy_writes(&[0.0, 1.0, 2.0, 1.0, 0.0, 0.0], &tokens, 1..3));
        assert!(!greedy_writes(&[1.0, 0.0, 2.0, 1.0, 0.0, 0.0], &tokens, 1..3));
        assert!(!greedy_writes(&[0.0, 1.0, 1.0, 2.0, 0.0, 0.0], &tokens, 1..3));
        // A tie goes to the lower id.
        assert!(greedy_writes(&[0.0, 1.0, 1.0, 1.0, 0.0, 0.0], &tokens, 1..3));
        assert!(!greedy_writes(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], &tokens, 1..3));
    }
}
