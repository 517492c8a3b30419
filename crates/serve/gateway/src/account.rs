//! What a call cost, in integer nano-dollars.

use pelton_llm_types::TokenUsage;
use serde::{Deserialize, Serialize};

/// The price of a target's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Nano-dollars for a million prompt tokens.
    pub prompt_nanousd_per_million: i64,
    /// Nano-dollars for a million tokens of the answer.
    pub completion_nanousd_per_million: i64,
}

/// The cost of a call, rounded half up; unknown, not zero, where tokens or prices are unknown.
pub(crate) fn cost(usage: Option<TokenUsage>, price: Option<Price>) -> Option<i64> {
    let (usage, price) = (usage?, price?);
    let exact = i128::from(usage.prompt) * i128::from(price.prompt_nanousd_per_million)
        + i128::from(usage.completion) * i128::from(price.completion_nanousd_per_million);
    i64::try_from((exact + 500_000).div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_and_unknown() {
        let usage =
            |prompt, completion| Some(TokenUsage { prompt, completion, ..TokenUsage::default() });
        // $0.15 and $0.60 a million tokens.
        let price = Some(Price {
            prompt_nanousd_per_million: 150_000_000,
            completion_nanousd_per_million: 600_000_000,
        });
        assert_eq!(cost(usage(1_000_000, 1_000_000), price), Some(750_000_000));
        assert_eq!(cost(usage(7, 3), price), Some(2_850));
        assert_eq!(cost(usage(0, 0), price), Some(0));
        assert_eq!(cost(None, price), None);
        assert_eq!(cost(usage(1, 1), None), None);
        assert_eq!(cost(usage(u64::MAX, u64::MAX), price), None);
    }
}
