//! Adam with decoupled weight decay (Loshchilov and Hutter 2019).

use crate::Real;

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squares.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f64,
    /// Share of a weight that is lost per unit of learning rate.
    pub weight_decay: f64,
    /// Steps so far, this one included; from 1.
    pub step: u64,
}

/// Updates `weights` and both moments from `gradient · gradient_scale`.
pub fn adamw_step<T: Real>(
    weights: &mut [T],
    mean: &mut [T],
    square: &mut [T],
    gradient: &[T],
    gradient_scale: f64,
    step: &AdamW,
) {
    let power = step.step.min(i32::MAX as u64) as i32;
    let correction1 = 1.0 - step.beta1.powi(power);
    let correction2 = 1.0 - step.beta2.powi(power);
    update(
        weights,
        mean,
        square,
        gradient,
        T::of(gradient_scale),
        [T::of(step.beta1), T::of(step.beta2)],
        T::of(step.learning_rate / correction1),
        T::of(1.0 / correction2),
        T::of(step.epsilon),
        T::of(1.0 - step.learning_rate * step.weight_decay),
    );
}

vectorized! {
    fn update<T>(
        weights: &mut [T], mean: &mut [T], square: &mut [T], gradient: &[T], gradient_scale: T,
        betas: [T; 2], rate: T, square_correction: T, epsilon: T, keep: T,
    ) {
        let [beta1, beta2] = betas;
        let state = mean.iter_mut().zip(square);
        for ((weight, (mean, square)), gradient) in weights.iter_mut().zip(state).zip(gradient) {
            let gradient = *gradient * gradient_scale;
            *mean = beta1 * *mean + (T::ONE - beta1) * gradient;
            *square = beta2 * *square + (T::ONE - beta2) * gradient * gradient;
            let root = (*square * square_correction).root() + epsilon;
            *weight = *weight * keep - rate * *mean / root;
        }
    }
}
