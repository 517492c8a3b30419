//! What other models say of the examples: a teacher's soft targets, and rewards of preference pairs.

use std::sync::Mutex;

use pelton_model::{Adapter, BaseModel};

use crate::preference::PairLoss;
use crate::report::Rewards;
use crate::{Base, Example, Preference, TeacherTargets, TrainError, logits};

/// A teacher's `top` most likely tokens at every token of the examples that has a loss. The teacher must have
/// the same vocabulary, which the caller checks.
///
/// # Errors
/// When an example does not fit the teacher.
pub fn teach(
    teacher: &BaseModel,
    examples: &[Example],
    top: usize,
    threads: usize,
) -> Result<Vec<TeacherTargets>, TrainError> {
    let next = Mutex::new(0..examples.len());
    let work = || -> Result<Vec<(usize, TeacherTargets)>, TrainError> {
        let mut done = Vec::new();
        loop {
            let index = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            let Some(index) = index else { return Ok(done) };
            done.push((index, targets(teacher, &examples[index], top)?));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work()?;
        for other in others {
            all.extend(other.join().map_err(|_| TrainError::LostThread)??);
        }
        Ok::<_, TrainError>(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, targets)| targets).collect())
}

fn targets(
    teacher: &BaseModel,
    example: &Example,
    top: usize,
) -> Result<TeacherTargets, TrainError> {
    let vocab = teacher.config().vocab_size;
    let rows = logits(teacher, None, &example.tokens)?;
    let mut targets = TeacherTargets::default();
    // Nothing says what the first token should have been.
    targets.push(&[]);
    for (row, weight) in rows.chunks_exact(vocab).zip(&example.loss_weights[1..]) {
        targets.push(&if *weight > 0.0 { most_likely(row, top) } else { Vec::new() });
    }
    Ok(targets)
}

/// The tokens with the largest logits and the logarithms of their probabilities.
fn most_likely(row: &[f32], top: usize) -> Vec<(u32, f32)> {
    let log_sum = log_sum(row);
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    let by_logit = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    let count = top.clamp(1, order.len());
    if count < order.len() {
        order.select_nth_unstable_by(count - 1, by_logit);
        order.truncate(count);
    }
    order.sort_unstable_by(by_logit);
    let logarithm = |token: u32| (f64::from(row[token as usize]) - log_sum).min(0.0) as f32;
    order.into_iter().map(|token| (token, logarithm(token))).collect()
}

fn log_sum(row: &[f32]) -> f64 {
    let largest = row.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = row.iter().map(|value| f64::from(value - largest).exp()).sum();
    f64::from(largest) + sum.ln()
}

/// How an adapter ranks preference pairs, and its mean loss on them in nats; see [`Rewards`].
///
/// # Errors
/// When the adapter or an example does not fit the base.
pub fn preference_rewards<'a>(
    base: impl Into<Base<'a>>,
    adapter: &Adapter,
    pairs: &[Preference],
    beta: f64,
) -> Result<(f64, Vec<Rewards>), TrainError> {
    let base = base.into();
    let reward = |example: &Example| -> Result<f64, TrainError> {
        let adapted = log_probability(base, Some(adapter), example)?;
        Ok(beta * (adapted - log_probability(base, None, example)?))
    };
    let mut loss = 0.0;
    let mut rewards = Vec::new();
    for Preference { chosen, rejected } in pairs {
        let pair = PairLoss::new(reward(chosen)?, reward(rejected)?);
        loss += pair.value() / pairs.len() as f64;
        rewards.push(Rewards {
            chosen: pair.chosen as f32,
            rejected: pair.rejected as f32,
            margin: pair.margin() as f32,
            accuracy: if pair.margin() > 0.0 { 1.0 } else { 0.0 },
        });
    }
    Ok((loss, rewards))
}

/// Logarithm of the probability of an example's answer: a sum over its tokens by their weights.
fn log_probability(
    base: Base<'_>,
    adapter: Option<&Adapter>,
    example: &Example,
) -> Result<f64, TrainError> {
    let vocab = base.config().vocab_size;
    let rows = logits(base, adapter, &example.tokens)?;
    let following = example.tokens[1..].iter().zip(&example.loss_weights[1..]);
    let parts = rows.chunks_exact(vocab).zip(following).map(|(row, (&token, &weight))| {
        if weight == 0.0 {
            return 0.0;
        }
        f64::from(weight) * (f64::from(row[token as usize]) - log_sum(row))
    });
    Ok(parts.sum())
}
