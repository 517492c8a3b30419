//! Root-mean-square norm (Zhang and Sennrich 2019): `y = x · r · w` with `r = 1 / √(mean x² + ε)`.

use crate::real::dot;

vectorized! {
    /// `y` and `x` are `[rows, width]`; `inverse_rms` keeps `r` of each row for the backward pass.
    pub fn rms_norm_forward<T>(
        y: &mut [T], inverse_rms: &mut [T], x: &[T], weight: &[T], epsilon: f64,
    ) {
        let width = weight.len();
        let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for ((y, x), inverse_rms) in rows.zip(inverse_rms) {
            let mean = dot(x, x) / T::of(width as f64);
            let r = T::ONE / (mean + T::of(epsilon)).root();
            *inverse_rms = r;
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = *x * r * *weight;
            }
        }
    }
}

vectorized! {
    /// `dx += r (g − x r² mean(x g))` with `g = dy · w`, and `dw += Σ dy · x · r` if asked for.
    ///
    /// Adding suits the residual stream, whose gradient `dx` already holds the other branch.
    pub fn rms_norm_backward<T>(
        dx: &mut [T], dweight: Option<&mut [T]>, dy: &[T], x: &[T], inverse_rms: &[T], weight: &[T],
    ) {
        let width = weight.len();
        let mut dweight = dweight;
        let rows = dx.chunks_exact_mut(width).zip(dy.chunks_exact(width));
        for (((dx, dy), x), r) in rows.zip(x.chunks_exact(width)).zip(inverse_rms) {
            let r = *r;
            let mut product = T::ZERO;
            {
                let mut lanes = [T::ZERO; 16];
                let chunks = dy.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0);
                for ((dy, x), weight) in chunks.zip(weight.as_chunks::<16>().0) {
                    for lane in 0..16 {
                        lanes[lane] = (dy[lane] * weight[lane]).times_plus(x[lane], lanes[lane]);
                    }
                }
                for lane in lanes {
                    product += lane;
                }
                for index in width / 16 * 16..width {
                    product += dy[index] * weight[index] * x[index];
                }
            }
            let shrink = product * r * r * r / T::of(width as f64);
            for (((dx, dy), x), weight) in dx.iter_mut().zip(dy).zip(x).zip(weight) {
                *dx += *dy * *weight * r - *x * shrink;
            }
            if let Some(dweight) = dweight.as_deref_mut() {
                for ((dweight, dy), x) in dweight.iter_mut().zip(dy).zip(x) {
                    *dweight += *dy * *x * r;
                }
            }
        }
    }
}
