//! The gated feed-forward activation (Shazeer 2020): `silu(gate) · up`.

vectorized! {
    /// `gate_up` is `[rows, 2 width]`, gate first; `y` is `[rows, width]`.
    pub fn swiglu_forward<T>(y: &mut [T], gate_up: &[T], width: usize) {
        for (y, row) in y.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
            let (gate, up) = row.split_at(width);
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                let sigmoid = T::ONE / (T::ONE + (-*gate).exponential());
                *y = *gate * sigmoid * *up;
            }
        }
    }
}

vectorized! {
    /// Writes `d gate_up` for `dy`.
    pub fn swiglu_backward<T>(dgate_up: &mut [T], dy: &[T], gate_up: &[T], width: usize) {
        let rows = dgate_up.chunks_exact_mut(2 * width).zip(gate_up.chunks_exact(2 * width));
        for ((dgate_up, gate_up), dy) in rows.zip(dy.chunks_exact(width)) {
            let (dgate, dup) = dgate_up.split_at_mut(width);
            let (gate, up) = gate_up.split_at(width);
            let outputs = dgate.iter_mut().zip(dup);
            for (((dgate, dup), (gate, up)), dy) in outputs.zip(gate.iter().zip(up)).zip(dy) {
                let sigmoid = T::ONE / (T::ONE + (-*gate).exponential());
                let silu = *gate * sigmoid;
                *dup = *dy * silu;
                *dgate = *dy * *up * (sigmoid + silu * (T::ONE - sigmoid));
            }
        }
    }
}
