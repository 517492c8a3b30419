//! Logarithms of gamma, beta and binomial coefficients.

use crate::interval::count;
use std::f64::consts::PI;

/// ln Γ(x) for x > 0, by Lanczos' approximation (g = 7, nine terms), to about 1e-14.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let shifted = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    let mut at = shifted;
    for term in TERMS {
        at += 1.0;
        sum += term / at;
    }
    let base = shifted + 7.5;
    0.5 * (2.0 * PI).ln() + (shifted + 0.5) * base.ln() - base + sum.ln()
}

/// ln B(a, b).
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln of `n` over `k`.
pub(crate) fn ln_choose(n: u64, k: u64) -> f64 {
    ln_gamma(count(n) + 1.0) - ln_gamma(count(k) + 1.0) - ln_gamma(count(n - k) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::close;

    #[test]
    fn known_values() {
        close(ln_gamma(1.0), 0.0, 1e-13);
        close(ln_gamma(0.5), PI.sqrt().ln(), 1e-13);
        close(ln_gamma(11.0), 3_628_800_f64.ln(), 1e-12);
        close(ln_gamma(0.1), 2.252_712_651_734_206, 1e-12);
        close(ln_beta(2.5, 4.0), -3.586119720156167, 1e-12);
        close(ln_choose(10, 3), 120_f64.ln(), 1e-12);
    }
}
