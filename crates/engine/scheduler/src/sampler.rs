//! Chooses the next token from logits.

use std::cmp::Ordering;
use std::collections::HashSet;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{Sampling, TokenLogprob};

/// The state of one generation's choices: its own random stream and what it generated.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    /// How often each token was generated; only kept when a penalty needs it.
    counts: Vec<(u32, u32)>,
    /// Tokens of the prompt and the answer; only kept when the repetition penalty needs them.
    seen: HashSet<u32>,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, prompt: &[u32]) -> Self {
        let seed = sampling.seed.unwrap_or_else(rand::random);
        let repels = sampling.repetition_penalty != 1.0;
        let seen = if repels { prompt.iter().copied().collect() } else { HashSet::new() };
        Self { random: ChaCha8Rng::seed_from_u64(seed), sampling, counts: Vec::new(), seen }
    }

    /// The next token; `logits` are changed by penalties.
    pub(crate) fn choose(&mut self, logits: &mut [f32]) -> u32 {
        self.adjust(logits);
        let token =
            if self.sampling.temperature <= 0.0 { most_likely(logits) } else { self.draw(logits) };
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.insert(token);
        }
        if self.has_penalty() {
            match self.counts.iter_mut().find(|count| count.0 == token) {
                Some(count) => count.1 += 1,
                None => self.counts.push((token, 1)),
            }
        }
        token
    }

    fn has_penalty(&self) -> bool {
        self.sampling.frequency_penalty != 0.0 || self.sampling.presence_penalty != 0.0
    }

    fn adjust(&self, logits: &mut [f32]) {
        for &(token, bias) in &self.sampling.logit_bias {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
        let repetition = self.sampling.repetition_penalty;
        for &token in &self.seen {
            let logit = &mut logits[token as usize];
            *logit = if *logit > 0.0 { *logit / repetition } else { *logit * repetition };
        }
        for &(token, count) in &self.counts {
            logits[token as usize] -=
                self.sampling.presence_penalty + self.sampling.frequency_penalty * count as f32;
        }
    }

    fn draw(&mut self, logits: &[f32]) -> u32 {
        let Sampling { temperature, top_p, top_k, min_p, .. } = self.sampling;
        // One draw per token, whatever the limits: the stream stays in step with the text.
        let point: f64 = self.random.random();
        let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut weights: Vec<(u32, f64)> = (0..)
            .zip(logits)
            .map(|(token, &logit)| {
                (token, ((f64::from(logit) - most) / f64::from(temperature)).exp())
            })
            .collect();
        if top_k > 0 || top_p < 1.0 || min_p > 0.0 {
            let limit = if top_k == 0 { weights.len() } else { top_k };
            keep_likeliest(&mut weights, limit);
            // The likeliest weighs 1, so that the relative limit is an absolute one.
            let likely = weights.iter().take_while(|entry| entry.1 >= f64::from(min_p)).count();
            weights.truncate(likely.max(1));
            keep_share(&mut weights, f64::from(top_p));
        }
        let total: f64 = weights.iter().map(|entry| entry.1).sum();
        let mut rest = point * total;
        for &(token, weight) in &weights {
            rest -= weight;
            if rest < 0.0 {
                return token;
            }
        }
        weights.last().map_or(0, |entry| entry.0)
    }
}

/// The token with the highest logit; of equals the first.
fn most_likely(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0
}

/// Descending by weight; of equals the lower token first, so that the order is the same everywhere.
fn by_likelihood(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn keep_likeliest(weights: &mut Vec<(u32, f64)>, limit: usize) {
    if limit < weights.len() {
        weights.select_nth_unstable_by(limit, by_likelihood);
        weights.truncate(limit);
    }
    weights.sort_unstable_by(by_likelihood);
}

fn keep_share(weights: &mut Vec<(u32, f64)>, share: f64) {
    if share >= 1.0 {
        return;
    }
    let enough = share * weights.iter().map(|entry| entry.1).sum::<f64>();
    let mut sum = 0.0;
    let kept = weights.iter().take_while(|entry| {
        let open = sum < enough;
        sum += entry.1;
        open
    });
    let kept = kept.count().max(1);
    weights.truncate(kept);
}

/// Log-probability of `token` and of the `top` likeliest in the distribution of `logits`.
pub(crate) fn logprob_of(logits: &[f32], token: u32, top: usize) -> TokenLogprob {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
    let normalizer = most + sum.ln();
    let mut entries: Vec<(u32, f64)> =
        (0..).zip(logits).map(|(token, &logit)| (token, f64::from(logit))).collect();
    if top > 0 {
        keep_likeliest(&mut entries, top);
    }
    entries.truncate(top);
    TokenLogprob {
        token,
        logprob: (f64::from(logits[token as usize]) - normalizer) as f32,
        top: entries
            .into_iter()
            .map(|(token, logit)| (token, (logit - normalizer) as f32))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Sampler, logprob_of};
    use crate::Sampling;

    fn shares(sampling: &Sampling, logits: &[f32]) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for seed in 0..4000 {
            let mut sampler = Sampler::new(Sampling { seed: Some(seed), ..sampling.clone() }, &[]);
            counts[sampler.choose(&mut logits.to_vec()) as usize] += 1.0 / 4000.0;
        }
        counts
    }

    fn near(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.03, "{found} instead of {expected}");
        }
    }

    /// Probabilities .1, .2, .3, .4.
    fn logits() -> Vec<f32> {
        [0.1_f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn zero_temperature_takes_the_likeliest_and_of_equals_the_first() {
        let mut sampler = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() }, &[]);
        assert_eq!(sampler.choose(&mut [0.0, 3.0, 3.0, -1.0]), 1);
    }

    #[test]
    fn draws_follow_the_distribution_and_its_limits() {
        let plain = Sampling::default();
        near(&shares(&plain, &logits()), &[0.1, 0.2, 0.3, 0.4]);
        let two = Sampling { top_k: 2, ..plain.clone() };
        near(&shares(&two, &logits()), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        // .4 does not reach .5, so the next one is kept too.
        let half = Sampling { top_p: 0.5, ..plain.clone() };
        near(&shares(&half, &logits()), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        let relative = Sampling { min_p: 0.45, ..plain.clone() };
        near(&shares(&relative, &logits()), &[0.0, 2.0 / 9.0, 3.0 / 9.0, 4.0 / 9.0]);
        let cold = Sampling { temperature: 0.5, ..plain.clone() };
        near(&shares(&cold, &logits()), &[1.0 / 30.0, 4.0 / 30.0, 9.0 / 30.0, 16.0 / 30.0]);
        let only_one = Sampling { top_p: 0.0, ..plain };
        near(&shares(&only_one, &logits()), &[0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_seed_repeats_itself() {
        let run = |seed| {
            let mut sampler =
                Sampler::new(Sampling { seed: Some(seed), ..Sampling::default() }, &[]);
            (0..50).map(|_| sampler.choose(&mut logits())).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn penalties_and_biases_move_the_choice() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let mut biased =
            Sampler::new(Sampling { logit_bias: vec![(0, 10.0)], ..greedy.clone() }, &[]);
        assert_eq!(biased.choose(&mut logits()), 0);
        let mut repelled = Sampler::new(Sampling { presence_penalty: 2.0, ..greedy.clone() }, &[]);
        let chosen: Vec<u32> = (0..4).map(|_| repelled.choose(&mut logits())).collect();
        assert_eq!(chosen, [3, 2, 1, 0]);
        let mut counted = Sampler::new(Sampling { frequency_penalty: 0.2, ..greedy }, &[]);
        let chosen: Vec<u32> = (0..3).map(|_| counted.choose(&mut logits())).collect();
        assert_eq!(chosen, [3, 3, 2]);
    }

    #[test]
    fn repetition_is_penalized_in_prompt_and_answer() {
        let sampling =
            Sampling { temperature: 0.0, repetition_penalty: 2.0, ..Sampling::default() };
        let mut sampler = Sampler::new(sampling, &[3]);
        // 3 was in the prompt: 4 becomes 2. Then 1 was chosen: 3 becomes 1.5. A negative logit grows
        // more negative.
        assert_eq!(sampler.choose(&mut [-1.0, 3.0, 1.0, 4.0]), 1);
        let mut logits = [-1.0, 3.0, 1.0, 4.0];
        assert_eq!(sampler.choose(&mut logits), 3);
        assert_eq!(logits, [-1.0, 1.5, 1.0, 2.0]);
        let mut logits = [1.0, -3.0, 0.5, 1.5];
        assert_eq!(sampler.choose(&mut logits), 0);
        assert_eq!(logits, [1.0, -6.0, 0.5, 0.75]);
    }

    #[test]
    fn logprobs_are_those_of_the_distribution() {
        let found = logprob_of(&logits(), 1, 2);
        assert!((found.logprob - 0.2_f32.ln()).abs() < 1e-6);
        assert_eq!(found.top.iter().map(|top| top.0).collect::<Vec<_>>(), [3, 2]);
        assert!((found.top[0].1 - 0.4_f32.ln()).abs() < 1e-6);
        assert!(logprob_of(&logits(), 1, 0).top.is_empty());
    }
}
