//! Retries as a share of calls, so that a failing upstream is not buried under them.

use std::sync::atomic::{AtomicI64, Ordering};

/// Each call earns a fifth of a retry; up to twenty are kept.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// In tenths of a retry.
    tenths: AtomicI64,
}

const FULL: i64 = 200;
const EARNED_BY_A_CALL: i64 = 2;
const COST_OF_A_RETRY: i64 = 10;

impl Default for RetryBudget {
    fn default() -> Self {
        Self { tenths: AtomicI64::new(FULL) }
    }
}

impl RetryBudget {
    /// A call came in.
    pub(crate) fn earn(&self) {
        self.change(|tenths| Some((tenths + EARNED_BY_A_CALL).min(FULL)));
    }

    /// Whether a retry may be made; it is paid for then.
    pub(crate) fn spend(&self) -> bool {
        self.change(|tenths| (tenths >= COST_OF_A_RETRY).then_some(tenths - COST_OF_A_RETRY))
    }

    fn change(&self, to: impl Fn(i64) -> Option<i64>) -> bool {
        self.tenths.fetch_update(Ordering::AcqRel, Ordering::Acquire, to).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_calls_after_the_reserve() {
        let budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 20);
        let granted = (0..100)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert_eq!(granted, 20);
    }
}
