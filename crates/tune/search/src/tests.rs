//! Strategies against functions whose optimum is known.

use crate::{
    Dimension, Domain, ETA, Halving, Importance, Observation, Point, Sampler, Scale, Segment,
    Settings, Space, importance, suggest,
};
use std::collections::BTreeSet;

fn space() -> Space {
    let real = Domain::Real { from: 1e-5, to: 1e-1, scale: Scale::Logarithmic };
    let whole = Domain::Integer { from: 1, to: 64, scale: Scale::Logarithmic };
    Space::new(vec![
        Dimension { name: "learning_rate", domain: real },
        Dimension { name: "rank", domain: whole },
        Dimension { name: "targets", domain: Domain::Choice(3) },
    ])
    .unwrap()
}

type Function = fn(&Point) -> f64;

/// Functions on [`space`] with their least value, zero: a bowl, a narrow valley, a bowl with ripples.
fn functions() -> [(&'static str, Function); 3] {
    fn offsets(point: &Point) -> (f64, f64, f64) {
        let rate = (point[0] / 2e-3).log10();
        (rate, (point[1] / 12.0).log2(), f64::from(point[2] != 1.0))
    }
    [
        ("bowl", |point| {
            let (rate, rank, kind) = offsets(point);
            rate * rate + 0.1 * rank * rank + 0.3 * kind
        }),
        ("valley", |point| {
            let (rate, rank, kind) = offsets(point);
            rate.abs().sqrt() + 0.02 * rank * rank + 0.1 * kind
        }),
        ("ripples", |point| {
            let (rate, rank, kind) = offsets(point);
            rate * rate + 0.2 * (1.0 - (9.0 * rate).cos()) + 0.05 * rank * rank + 0.2 * kind
        }),
    ]
}

fn search(sampler: Sampler, function: Function, trials: u64, seed: u64) -> Vec<Observation> {
    let space = space();
    let mut observed: Vec<Observation> = Vec::new();
    for trial in 0..trials {
        let point = suggest(sampler, &space, &observed, (seed, trial), &|_| false).unwrap();
        let loss = function(&point);
        observed.push(Observation { point, loss });
    }
    observed
}

fn best(observed: &[Observation]) -> f64 {
    observed.iter().map(|one| one.loss).fold(f64::INFINITY, f64::min)
}

/// How many standard deviations so many wins are from what equals would have: a sign test.
fn deviations(wins: u32, of: u32) -> f64 {
    let (wins, of) = (f64::from(wins), f64::from(of));
    (wins - of / 2.0) / (of / 4.0).sqrt()
}

#[test]
fn tpe_finds_better_points_than_chance_on_every_function() {
    const SEEDS: u32 = 200;
    for (name, function) in functions() {
        let (mut wins, mut tpe_sum, mut random_sum) = (0, 0.0, 0.0);
        for seed in 0..u64::from(SEEDS) {
            // Seeds of their own, so that the first draws are not shared.
            let tpe = best(&search(Sampler::Tpe, function, 30, seed));
            let random = best(&search(Sampler::Random, function, 30, 10_000 + seed));
            wins += u32::from(tpe < random);
            tpe_sum += tpe;
            random_sum += random;
        }
        println!("{name}: {wins} of {SEEDS}, {tpe_sum:.2} against {random_sum:.2}");
        // One in a thousand, one-sided.
        assert!(deviations(wins, SEEDS) > 3.1, "{name}: {wins} wins of {SEEDS}");
        assert!(tpe_sum < 0.8 * random_sum, "{name}: {tpe_sum} against {random_sum}");
    }
}

#[test]
fn points_lie_in_their_domains_and_follow_their_scale() {
    let observed = search(Sampler::Random, |_| 0.0, 2_000, 7);
    let mut below = 0;
    for Observation { point, .. } in &observed {
        assert!((1e-5..=1e-1).contains(&point[0]) && (1.0..=64.0).contains(&point[1]), "{point:?}");
        assert!(point[1].fract() == 0.0 && [0.0, 1.0, 2.0].contains(&point[2]), "{point:?}");
        let written: f64 = format!("{:.2e}", point[0]).parse().unwrap();
        assert_eq!(written.to_bits(), point[0].to_bits(), "three digits say it all");
        below += usize::from(point[0] < 1e-3);
    }
    assert!((900..1_100).contains(&below), "half of the logarithms: {below}");
    let ranks: BTreeSet<u64> = observed.iter().map(|one| one.point[1] as u64).collect();
    assert!(ranks.contains(&1) && ranks.contains(&64), "both ends are drawn");
}

#[test]
fn the_same_arguments_give_the_same_point() {
    let (_, function) = functions()[0];
    for sampler in [Sampler::Random, Sampler::Tpe] {
        let whole = search(sampler, function, 20, 3);
        assert_eq!(whole, search(sampler, function, 20, 3));
        // From the middle, as a search does that was killed.
        let space = space();
        let next = suggest(sampler, &space, &whole[..12], (3, 12), &|_| false).unwrap();
        assert_eq!(next, whole[12].point);
        assert_ne!(whole, search(sampler, function, 20, 4));
    }
}

#[test]
fn refused_points_are_not_suggested_and_an_end_is_told() {
    let domain = Domain::Choice(5);
    let space = Space::new(vec![Dimension { name: "rank", domain }]).unwrap();
    assert_eq!(space.size(), Some(5));
    for sampler in [Sampler::Random, Sampler::Tpe] {
        let mut observed: Vec<Observation> = Vec::new();
        for trial in 0..7 {
            let taken = observed.clone();
            let refused = |point: &Point| taken.iter().any(|one| one.point == *point);
            let Some(point) = suggest(sampler, &space, &observed, (1, trial), &refused) else {
                break;
            };
            // Not a number, as a failure might be.
            observed.push(Observation { point, loss: f64::NAN });
        }
        let all: BTreeSet<u64> = observed.iter().map(|one| one.point[0] as u64).collect();
        assert_eq!((all.len(), observed.len()), (5, 5), "each once");
    }
}

#[test]
fn empty_domains_make_no_space() {
    let space = |domain| Space::new(vec![Dimension { name: "x", domain }]);
    let (linear, logarithmic) = (Scale::Linear, Scale::Logarithmic);
    assert_eq!(space(Domain::Real { from: 1.0, to: 1.0, scale: linear }), None);
    assert_eq!(space(Domain::Real { from: 0.0, to: 1.0, scale: logarithmic }), None);
    assert_eq!(space(Domain::Real { from: 0.0, to: f64::NAN, scale: linear }), None);
    assert_eq!(space(Domain::Integer { from: 2, to: 1, scale: linear }), None);
    assert_eq!(space(Domain::Choice(0)), None);
    let whole = space(Domain::Integer { from: 3, to: 5, scale: logarithmic }).unwrap();
    assert_eq!(whole.size(), Some(3));
}

/// Runs a bracket on trials whose loss falls towards `end(trial)`; what each segment cost, in 27ths of a run.
fn bracket(trials: usize, end: impl Fn(usize) -> f64) -> (Vec<Vec<f64>>, Vec<(Segment, u64)>) {
    let halving = Halving::new(trials);
    let steps = halving.steps(27);
    let mut losses: Vec<Vec<f64>> = vec![Vec::new(); trials];
    let mut done = Vec::new();
    while let Some(segment) = halving.next(&losses) {
        let Segment { trial, rung } = segment;
        let before = if rung == 0 { 0 } else { steps[rung - 1] };
        done.push((segment, steps[rung] - before));
        losses[trial].push(end(trial) + 1.0 / steps[rung] as f64);
    }
    (losses, done)
}

#[test]
fn a_bracket_spends_what_it_planned_and_keeps_the_best() {
    for trials in [1, 2, 3, 8, 9, 26, 27, 40, 81] {
        let halving = Halving::new(trials);
        let end = |trial: usize| ((trial * 7 + 3) % trials) as f64;
        let (losses, done) = bracket(trials, end);
        let spent: u64 = done.iter().map(|(_, cost)| cost).sum();
        let steps = halving.steps(27);
        assert_eq!(spent, halving.most_cost(|_, rung| steps[rung]), "{trials}");
        for (rung, planned) in halving.rungs().iter().enumerate() {
            let reached = losses.iter().filter(|losses| losses.len() > rung).count();
            assert_eq!(reached, planned.trials, "{trials} trials at rung {rung}");
        }
        let best = halving.survivors(&losses, halving.rungs().len() - 1);
        assert_eq!(best.len(), 1);
        assert!((end(best[0])).abs() < 1e-9, "{trials}: trial {best:?} is not the best");
    }
    // Nine trials cost two and a third of a run: 9 · 1/9 + 3 · 2/9 + 1 · 2/3.
    let nine: u64 = bracket(9, |trial| trial as f64).1.iter().map(|(_, cost)| cost).sum();
    assert_eq!(nine, 63);
    assert_eq!(Halving::new(9).rungs().len(), 3);
}

#[test]
fn trials_that_fail_do_not_go_on() {
    let (losses, _) = bracket(9, |trial| if trial < 6 { f64::INFINITY } else { trial as f64 });
    let reached: Vec<usize> = losses.iter().map(Vec::len).collect();
    assert_eq!(reached, [1, 1, 1, 1, 1, 1, 3, 2, 2]);
}

#[test]
fn dear_survivors_are_planned_for() {
    let halving = Halving::new(3);
    // Whole runs cost 30, 60 and 90; the first rung is a third. The dearest may be the one that goes on.
    let cost = |trial: usize, rung: usize| (trial as u64 + 1) * [10, 30][rung];
    assert_eq!(halving.most_cost(cost), 10 + 20 + 30 + 60);
}

#[test]
fn rungs_of_short_runs_are_still_steps() {
    let halving = Halving::new(27);
    assert_eq!(halving.steps(270), [10, 30, 90, 270]);
    assert_eq!(halving.steps(100), [3, 9, 27, 100]);
    assert_eq!(halving.steps(2), [1, 2, 2, 2]);
    assert_eq!(ETA, 3);
}

#[test]
fn importance_sees_what_mattered_and_says_what_chance_would_do() {
    let losses = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, f64::INFINITY];
    let rates = Settings::Numbers(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.5]);
    let Importance { strength, p_value, trials } = importance(&rates, &losses, 1).unwrap();
    assert!((strength + 1.0).abs() < 1e-9, "{strength}");
    assert!(p_value < 0.01 && trials == 8, "{p_value}");

    let other = Settings::Numbers(vec![4.0, 1.0, 3.0, 2.0, 4.0, 1.0, 3.0, 2.0]);
    let nothing = importance(&other, &losses, 1).unwrap();
    assert!(nothing.strength.abs() < 0.5 && nothing.p_value > 0.1, "{nothing:?}");

    // Ranks 1 to 8; the kinds have 1, 2, 3, 4 and 5, 6, 7, 8: η² = 2·4·4 / 42.
    let kinds = Settings::Kinds(vec![1, 1, 1, 0, 0, 0, 0, 1]);
    let eta = importance(&kinds, &losses, 1).unwrap();
    assert!((eta.strength - (32.0_f64 / 42.0).sqrt()).abs() < 1e-9, "{eta:?}");
    assert!(eta.p_value < 0.05, "{eta:?}");

    assert_eq!(importance(&Settings::Kinds(vec![0; 8]), &losses, 1), None);
    assert_eq!(importance(&Settings::Numbers(vec![1.0, 2.0, 3.0]), &losses[..3], 1), None);
}
