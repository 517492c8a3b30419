//! Guesses what comes next from what was there before: answers often quote their prompt.
//!
//! Prompt lookup decoding (Saxena 2023): where the last few tokens stood before, what followed them
//! then is guessed to follow again. The guessed tokens are computed in one pass with the next one,
//! which costs little where reading the weights is what takes time, and each is kept only if it is
//! what the sampler chooses anyway. So the text is the same with and without.

use std::ops::Range;

/// Tokens that have to agree, the most first.
const AGREEING: [usize; 3] = [4, 3, 2];
/// Below this share of right guesses they cost more than they bring.
const WORTHWHILE: f32 = 0.2;
/// Steps without guesses after too many wrong ones.
const REST: usize = 32;

/// The guesses of one sequence.
#[derive(Debug)]
pub(crate) struct PromptLookup {
    /// Share of guesses that were right, recent ones counting more.
    right: f32,
    resting: usize,
}

impl Default for PromptLookup {
    fn default() -> Self {
        Self { right: 0.5, resting: 0 }
    }
}

impl PromptLookup {
    /// The place in `tokens` of up to `most` tokens that may follow its end.
    pub(crate) fn guess(&mut self, tokens: &[u32], most: usize) -> Range<usize> {
        if self.resting > 0 {
            self.resting -= 1;
            return 0..0;
        }
        if most == 0 {
            return 0..0;
        }
        for agreeing in AGREEING {
            let Some(before) = tokens.len().checked_sub(agreeing) else { continue };
            let end = &tokens[before..];
            // The latest place: what was said last is the likeliest to be said again.
            let found = (0..before).rev().find(|&at| &tokens[at..at + agreeing] == end);
            if let Some(at) = found {
                let start = at + agreeing;
                return start..tokens.len().min(start + most);
            }
        }
        0..0
    }

    /// Learns how many of `guessed` tokens were right.
    pub(crate) fn learn(&mut self, guessed: usize, right: usize) {
        if guessed == 0 {
            return;
        }
        self.right += 0.2 * (right as f32 / guessed as f32 - self.right);
        if self.right < WORTHWHILE {
            *self = Self { right: 2.0 * WORTHWHILE, resting: REST };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PromptLookup, REST};

    #[test]
    fn the_latest_and_longest_agreement_is_continued() {
        let mut lookup = PromptLookup::default();
        assert_eq!(lookup.guess(&[1, 2, 3, 9, 1, 2, 4, 8, 1, 2], 2), 6..8);
        assert_eq!(lookup.guess(&[7, 1, 2, 3, 9, 5, 2, 3, 4, 1, 2, 3], 3), 4..7);
        assert_eq!(lookup.guess(&[1, 2, 3], 3), 0..0);
        assert_eq!(lookup.guess(&[5, 5, 5], 3), 2..3);
        assert_eq!(lookup.guess(&[1, 2, 1, 2], 0), 0..0);
        assert_eq!(lookup.guess(&[], 3), 0..0);
    }

    #[test]
    fn wrong_guesses_bring_a_rest() {
        let mut lookup = PromptLookup::default();
        let tokens = [1, 2, 1, 2];
        let mut asked = 0;
        while !lookup.guess(&tokens, 1).is_empty() {
            lookup.learn(1, 0);
            asked += 1;
        }
        assert!((2..8).contains(&asked), "{asked}");
        for _ in 1..REST {
            assert!(lookup.guess(&tokens, 1).is_empty());
        }
        assert!(!lookup.guess(&tokens, 1).is_empty());
    }
}
