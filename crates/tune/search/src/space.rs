//! What a search may choose from.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

/// Digits that a real number keeps: so that people can write down what was chosen, and it is the same number.
const DIGITS: i32 = 3;

/// One value for each dimension: the number itself, or the index of a choice.
pub type Point = Vec<f64>;

/// All points.
#[derive(Debug, Clone, PartialEq)]
pub struct Space(Vec<Dimension>);

/// A hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// Its name, for people.
    pub name: &'static str,
    /// Its values.
    pub domain: Domain,
}

/// The values of a hyperparameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// Real numbers, both ends included, to three significant digits.
    Real {
        /// The least.
        from: f64,
        /// The greatest.
        to: f64,
        /// What is drawn evenly.
        scale: Scale,
    },
    /// Whole numbers, both ends included.
    Integer {
        /// The least.
        from: u64,
        /// The greatest.
        to: u64,
        /// What is drawn evenly.
        scale: Scale,
    },
    /// One of so many, by index.
    Choice(usize),
}

/// What is drawn evenly: the number or its logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The number.
    Linear,
    /// Its logarithm; for positive numbers.
    Logarithmic,
}

impl Scale {
    fn of(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.ln(),
        }
    }

    fn back(self, coordinate: f64) -> f64 {
        match self {
            Self::Linear => coordinate,
            Self::Logarithmic => coordinate.exp(),
        }
    }
}

impl Space {
    /// The space of these dimensions; nothing where one of them is empty, or not positive on a logarithmic scale.
    #[must_use]
    pub fn new(dimensions: Vec<Dimension>) -> Option<Self> {
        dimensions.iter().all(|dimension| dimension.domain.is_valid()).then_some(Self(dimensions))
    }

    /// Its dimensions.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.0
    }

    /// Number of its points, where they are whole numbers and choices alone.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        self.0.iter().try_fold(1_usize, |size, dimension| {
            Some(size.saturating_mul(dimension.domain.size()?))
        })
    }

    pub(crate) fn draw(&self, random: &mut ChaCha8Rng) -> Point {
        self.0.iter().map(|dimension| dimension.domain.draw(random)).collect()
    }
}

impl Domain {
    fn is_valid(self) -> bool {
        match self {
            Self::Real { from, to, scale } => {
                let positive = scale == Scale::Linear || from > 0.0;
                from.is_finite() && to.is_finite() && from < to && positive
            }
            Self::Integer { from, to, scale } => {
                from <= to && (scale == Scale::Linear || from > 0) && to < 1 << 53
            }
            Self::Choice(count) => count > 0,
        }
    }

    fn size(self) -> Option<usize> {
        match self {
            Self::Real { .. } => None,
            Self::Integer { from, to, .. } => usize::try_from(to - from + 1).ok(),
            Self::Choice(count) => Some(count),
        }
    }

    /// The interval of coordinates, its end excluded: whole numbers and choices take up a unit each.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) fn interval(self) -> (f64, f64) {
        match self {
            Self::Real { from, to, scale } => (scale.of(from), scale.of(to)),
            Self::Integer { from, to, scale } => {
                (scale.of(from as f64 - 0.5), scale.of(to as f64 + 0.5))
            }
            Self::Choice(count) => (0.0, count as f64),
        }
    }

    /// The coordinate of a value, inside the interval.
    pub(crate) fn coordinate(self, value: f64) -> f64 {
        let (start, end) = self.interval();
        let coordinate = match self {
            Self::Real { scale, .. } | Self::Integer { scale, .. } => scale.of(value),
            Self::Choice(_) => value,
        };
        coordinate.clamp(start, end.next_down())
    }

    /// The value at a coordinate.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) fn value(self, coordinate: f64) -> f64 {
        match self {
            Self::Real { from, to, scale } => rounded(scale.back(coordinate)).clamp(from, to),
            Self::Integer { from, to, scale } => {
                scale.back(coordinate).round().clamp(from as f64, to as f64)
            }
            Self::Choice(count) => coordinate.floor().clamp(0.0, (count - 1) as f64),
        }
    }

    fn draw(self, random: &mut ChaCha8Rng) -> f64 {
        let (start, end) = self.interval();
        let share: f64 = random.random();
        self.value(start + share * (end - start))
    }
}

/// To [`DIGITS`] significant digits.
fn rounded(value: f64) -> f64 {
    let written = format!("{value:.*e}", (DIGITS - 1) as usize);
    written.parse().unwrap_or(value)
}
