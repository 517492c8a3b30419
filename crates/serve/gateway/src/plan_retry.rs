//! What to try next after failed attempts: a pure decision.

use crate::failure::Outlook;
use std::time::Duration;

/// The next step of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask the target at this place, after a wait.
    Try { target: usize, wait: Duration },
    /// There is nothing left to try.
    GiveUp,
}

/// The attempts of a call so far: which target failed, and what may be tried.
pub(crate) type History = [(usize, Outlook)];

/// Decides from the history. Every target is asked once before one is asked again; asking again
/// waits as long as the upstream asks for, or longer each time. `jitter` is in [0, 1).
pub(crate) fn next_step(
    history: &History,
    targets: usize,
    retries: u32,
    max_wait: Duration,
    jitter: f64,
) -> Step {
    let Some(&(last, outlook)) = history.last() else {
        return if targets == 0 {
            Step::GiveUp
        } else {
            Step::Try { target: 0, wait: Duration::ZERO }
        };
    };
    let untried = (0..targets).find(|&target| history.iter().all(|&(tried, _)| tried != target));
    if let (Some(target), true) = (untried, outlook.elsewhere) {
        return Step::Try { target, wait: Duration::ZERO };
    }
    let allowed = (retries as usize).saturating_add(1).max(targets);
    let hopeful = |target: &usize| {
        let latest = history.iter().rfind(|(tried, _)| tried == target);
        latest.is_some_and(|(_, outlook)| outlook.same)
    };
    let again =
        if outlook.elsewhere { (0..targets).find(hopeful) } else { Some(last).filter(hopeful) };
    let Some(target) = again.filter(|_| history.len() < allowed) else { return Step::GiveUp };
    let asked = history.iter().rfind(|&&(tried, _)| tried == target);
    let retry_after = asked.and_then(|(_, outlook)| outlook.retry_after);
    let wait = retry_after.unwrap_or(Duration::ZERO).max(backoff(history.len(), jitter));
    if wait > max_wait { Step::GiveUp } else { Step::Try { target, wait } }
}

/// 100 ms doubled with each attempt, between half and all of it.
fn backoff(attempts: usize, jitter: f64) -> Duration {
    let doubled = 100_u64 << attempts.saturating_sub(1).min(6);
    Duration::from_millis(doubled).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn outlook(same: bool, elsewhere: bool) -> Outlook {
        Outlook { same, elsewhere, retry_after: None }
    }
    const FLAKY: Outlook = outlook(true, true);
    const DEAD: Outlook = outlook(false, true);
    const FINAL: Outlook = outlook(false, false);

    /// Plays a call against targets that always fail in the same way: `target@wait` in turn.
    fn play(fails: &[Outlook], retries: u32) -> String {
        let mut history = Vec::new();
        let mut steps = Vec::new();
        while let Step::Try { target, wait } =
            next_step(&history, fails.len(), retries, Duration::from_secs(5), 1.0)
        {
            steps.push(format!("{target}@{}", wait.as_millis()));
            history.push((target, fails[target]));
        }
        steps.join(" ")
    }

    #[test]
    fn order_of_attempts() {
        assert_eq!(play(&[], 2), "");
        assert_eq!(play(&[FLAKY], 0), "0@0");
        assert_eq!(play(&[FLAKY], 3), "0@0 0@100 0@200 0@400");
        assert_eq!(play(&[FINAL, FLAKY], 2), "0@0");
        assert_eq!(play(&[DEAD], 2), "0@0");
        assert_eq!(play(&[FLAKY, FLAKY], 2), "0@0 1@0 0@200");
        assert_eq!(play(&[DEAD, FLAKY], 2), "0@0 1@0 1@200");
        assert_eq!(play(&[DEAD, DEAD, DEAD], 0), "0@0 1@0 2@0");
        assert_eq!(play(&[FLAKY, FINAL], 5), "0@0 1@0");
    }

    #[test]
    fn retry_after_is_honored_or_the_call_given_up() {
        let asks = |seconds| Outlook { retry_after: Some(Duration::from_secs(seconds)), ..FLAKY };
        assert_eq!(play(&[asks(2)], 1), "0@0 0@2000");
        assert_eq!(play(&[asks(60)], 1), "0@0");
        assert_eq!(play(&[asks(60), FLAKY], 0), "0@0 1@0");
    }
}
