//! The next point to try, from what was observed.

use crate::space::{Domain, Point, Space};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use tpe::density_estimation::DefaultEstimatorBuilder;
use tpe::{TpeOptimizerBuilder, histogram_estimator, parzen_estimator, range};

/// How points are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// Evenly at random (Bergstra and Bengio 2012).
    Random,
    /// Where good points were denser than bad ones: the tree-structured Parzen estimator (Bergstra and others 2011).
    /// The first few are random.
    Tpe,
}

/// A point that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The point.
    pub point: Point,
    /// What came out, the less the better; infinite for a failure.
    pub loss: f64,
}

/// Observations before which TPE draws at random.
const STARTUP: usize = 6;
/// Share of the observations that count as good.
const GOOD: f64 = 0.2;
/// Points that the estimator compares for each dimension.
const CANDIDATES: usize = 24;
/// Points that may be refused before there seems to be none left.
const ATTEMPTS: usize = 500;

/// The point of the trial with this number (from zero): the first that is not refused. Nothing when all of many
/// are refused. The same arguments give the same point.
#[must_use]
pub fn suggest(
    sampler: Sampler,
    space: &Space,
    observed: &[Observation],
    (seed, trial): (u64, u64),
    refused: &dyn Fn(&Point) -> bool,
) -> Option<Point> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(trial);
    let estimates = sampler == Sampler::Tpe && observed.len() >= STARTUP;
    (0..ATTEMPTS)
        .map(|attempt| {
            // An estimator that insists on what is refused is given up halfway.
            if estimates && attempt < ATTEMPTS / 2 {
                estimated(space, observed, &mut random)
            } else {
                space.draw(&mut random)
            }
        })
        .find(|point| !refused(point))
}

/// Dimension by dimension, as if they were independent.
fn estimated(space: &Space, observed: &[Observation], random: &mut ChaCha8Rng) -> Point {
    let dimensions = space.dimensions().iter().enumerate();
    dimensions
        .map(|(place, dimension)| {
            let domain = dimension.domain;
            let coordinates =
                observed.iter().map(|one| (domain.coordinate(one.point[place]), one.loss));
            let coordinate = densest(domain, coordinates, random);
            domain.value(coordinate.unwrap_or_else(|| midpoint(domain)))
        })
        .collect()
}

/// The library refuses only what a valid domain and a loss that is a number exclude.
fn densest(
    domain: Domain,
    observed: impl Iterator<Item = (f64, f64)>,
    random: &mut ChaCha8Rng,
) -> Option<f64> {
    let (start, end) = domain.interval();
    let mut optimizer = TpeOptimizerBuilder::new()
        .gamma(GOOD)
        .candidates(CANDIDATES)
        .build(estimator(domain), range(start, end).ok()?)
        .ok()?;
    for (coordinate, loss) in observed {
        let loss = if loss.is_nan() { f64::INFINITY } else { loss };
        optimizer.tell(coordinate, loss).ok()?;
    }
    optimizer.ask(random).ok()
}

fn estimator(domain: Domain) -> DefaultEstimatorBuilder {
    match domain {
        Domain::Choice(_) => histogram_estimator(),
        Domain::Real { .. } | Domain::Integer { .. } => parzen_estimator(),
    }
}

fn midpoint(domain: Domain) -> f64 {
    let (start, end) = domain.interval();
    f64::midpoint(start, end)
}
