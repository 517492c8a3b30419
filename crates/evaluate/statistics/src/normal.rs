//! The standard normal distribution: its distribution function and quantiles.

use std::f64::consts::{PI, SQRT_2};

/// P(Z ≤ z) for a standard normal Z, to about 1e-15.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    erfc(-z / SQRT_2) / 2.0
}

/// P(Z > z), precise far out in the tail as well.
pub(crate) fn upper_tail(z: f64) -> f64 {
    erfc(z / SQRT_2) / 2.0
}

/// The z with P(Z ≤ z) = `p`; infinite at 0 and 1.
///
/// Acklam's rational approximation, refined by one step of Halley's method.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let rough = acklam(p);
    let error = normal_cdf(rough) - p;
    let step = error * (2.0 * PI).sqrt() * (rough * rough / 2.0).exp();
    rough - step / (1.0 + rough * step / 2.0)
}

fn acklam(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let tail = |q: f64| horner(&C, q) / horner(&D, q);
    if p < 0.024_25 {
        tail((-2.0 * p.ln()).sqrt())
    } else if p > 1.0 - 0.024_25 {
        -tail((-2.0 * (1.0 - p).ln()).sqrt())
    } else {
        let q = p - 0.5;
        horner(&A, q * q) * q / horner(&B, q * q)
    }
}

/// The polynomial with these coefficients, highest power first.
fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The complementary error function: the series near zero, Lentz's continued fraction beyond.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        // erf(x) = 2/√π · Σ (-1)^n x^(2n+1) / (n! (2n+1)), in its all-positive form.
        let mut term = x;
        let mut sum = x;
        let mut n = 0.0;
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 / PI.sqrt() * (-x * x).exp() * sum;
    }
    if x > 27.0 {
        return 0.0;
    }
    // erfc(x) = e^(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))), from far inside out.
    let mut fraction = x;
    let mut n = 120.0;
    while n > 0.0 {
        fraction = x + n / 2.0 / fraction;
        n -= 1.0;
    }
    (-x * x).exp() / PI.sqrt() / fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    /// scipy.stats.norm.
    #[test]
    fn agrees_with_scipy() {
        for (z, below) in NORM_CDF {
            close(normal_cdf(z) / below, 1.0, 1e-12);
        }
        for (p, z) in NORM_PPF {
            close(normal_quantile(p), z, 1e-10);
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[test]
    fn tails_mirror() {
        for z in [0.0, 0.3, 1.96, 2.9, 6.5] {
            close(upper_tail(z) / normal_cdf(-z), 1.0, 1e-14);
            close(normal_cdf(z) + upper_tail(z), 1.0, 1e-15);
        }
    }

    const NORM_CDF: [(f64, f64); 6] = [
        (-8.0, 6.22096057427174e-16),
        (-3.0, 0.0013498980316300933),
        (-1.0, 0.15865525393145707),
        (0.25, 0.5987063256829237),
        (1.96, 0.9750021048517795),
        (5.0, 0.9999997133484281),
    ];
    const NORM_PPF: [(f64, f64); 5] = [
        (1e-09, -5.9978070150076865),
        (0.01, -2.3263478740408408),
        (0.4, -0.2533471031357997),
        (0.975, 1.959963984540054),
        (0.9999, 3.719016485455709),
    ];
}
