//! Decides how many tokens of which sequence the next step computes. Pure.

/// What a sequence could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    /// Tokens not computed yet: one and its guesses when generating, more in a prompt.
    pub(crate) tokens: usize,
    /// Whether it is still in its prompt.
    pub(crate) in_prompt: bool,
}

/// Tokens for each sequence, in the same order; zero means that it waits. Generating sequences all
/// move, so that nobody's stream stalls behind another's long prompt; prompts share what is
/// left of the budget, first come first.
pub(crate) fn plan_step(wants: &[Want], budget: usize) -> Vec<usize> {
    let generating: usize =
        wants.iter().filter(|want| !want.in_prompt).map(|want| want.tokens).sum();
    let mut left = budget.saturating_sub(generating);
    // A budget full of generating sequences must not stop prompts for good.
    if left == 0 {
        left = 1;
    }
    wants
        .iter()
        .map(|want| {
            if want.in_prompt {
                let take = want.tokens.min(left);
                left -= take;
                take
            } else {
                want.tokens
            }
        })
        .collect()
}

/// Spreads `costs` over `workers` so that the most loaded has little: heaviest first, each to the
/// least loaded. Returns the worker of each.
pub(crate) fn share_out(costs: &[usize], workers: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(costs[at]));
    let mut loads = vec![0; workers.max(1)];
    let mut worker_of = vec![0; costs.len()];
    for at in order {
        let lightest = (0..loads.len()).min_by_key(|&worker| loads[worker]).unwrap_or(0);
        loads[lightest] += costs[at];
        worker_of[at] = lightest;
    }
    worker_of
}

#[cfg(test)]
mod tests {
    use super::{Want, plan_step, share_out};

    fn prompt(tokens: usize) -> Want {
        Want { tokens, in_prompt: true }
    }

    const GENERATING: Want = Want { tokens: 1, in_prompt: false };

    #[test]
    fn generating_sequences_always_move_and_prompts_take_the_rest_in_order() {
        let wants = [GENERATING, prompt(50), GENERATING, prompt(80), prompt(10)];
        assert_eq!(plan_step(&wants, 102), [1, 50, 1, 50, 0]);
        assert_eq!(plan_step(&wants, 1000), [1, 50, 1, 80, 10]);
    }

    #[test]
    fn prompts_move_even_when_the_budget_is_full() {
        assert_eq!(plan_step(&[GENERATING, GENERATING, prompt(9)], 2), [1, 1, 1]);
        assert_eq!(plan_step(&[], 8), Vec::<usize>::new());
    }

    #[test]
    fn work_is_shared_evenly() {
        assert_eq!(share_out(&[1, 100, 1, 60, 40], 2), [0, 0, 1, 1, 1]);
        assert_eq!(share_out(&[5, 5], 1), [0, 0]);
    }
}
