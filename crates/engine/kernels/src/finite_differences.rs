//! Compares analytic gradients with central differences, in f64.

/// Deterministic values in `(-1, 1)` that look random.
pub fn values(count: usize, seed: usize) -> Vec<f64> {
    (0..count)
        .map(|index| {
            let x = ((index * 7919 + seed * 104_729 + 13) as f64 * 0.618_033_988).fract();
            ((x * 12.9898).sin() * 43_758.545_3).fract()
        })
        .collect()
}

/// The same in f32.
pub fn values32(count: usize, seed: usize) -> Vec<f32> {
    values(count, seed).into_iter().map(|value| value as f32).collect()
}

/// Sum of products: a scalar loss whose gradient with respect to `y` is `weights`.
pub fn weigh(y: &[f64], weights: &[f64]) -> f64 {
    y.iter().zip(weights).map(|(y, weight)| y * weight).sum()
}

/// Asserts that `gradient` is the derivative of `loss` at `x`.
pub fn check(name: &str, x: &[f64], gradient: &[f64], mut loss: impl FnMut(&[f64]) -> f64) {
    let step = 1e-5;
    let mut x = x.to_vec();
    let mut largest: f64 = 0.0;
    for index in 0..x.len() {
        let kept = x[index];
        x[index] = kept + step;
        let above = loss(&x);
        x[index] = kept - step;
        let below = loss(&x);
        x[index] = kept;
        let expected = (above - below) / (2.0 * step);
        let error = (gradient[index] - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-7, "{name}[{index}]: {} but {expected}", gradient[index]);
        largest = largest.max(expected.abs());
    }
    assert!(largest > 1e-3, "{name} has no gradient to compare");
}
