//! An adapter's matrices, packed for the forward pass: `y += (x Aᵀ) (scale · B)ᵀ`.
//!
//! Projections that read the same input (queries, keys and values; gate and up) have their `A`
//! stacked, so that the input is read once.

use pelton_kernels::decode::{PackError, PackedLinear, Strided, StridedMut, WeightFormat};
use pelton_model::{Adapter, DecoderConfig, Projection};

/// One adapter, ready to run on rows of a batch.
#[derive(Debug)]
pub(crate) struct LoraWeights {
    pub(crate) layers: Vec<LoraLayer>,
}

#[derive(Debug)]
pub(crate) struct LoraLayer {
    pub(crate) query_key_value: LoraGroup,
    pub(crate) output: LoraGroup,
    pub(crate) gate_up: LoraGroup,
    pub(crate) down: LoraGroup,
}

/// Targeted projections of one input; possibly none.
#[derive(Debug, Default)]
pub(crate) struct LoraGroup {
    stacked_a: Option<PackedLinear>,
    ups: Vec<Up>,
}

#[derive(Debug)]
struct Up {
    /// `[out, r]`, scale folded in.
    b: PackedLinear,
    /// First column in `x Aᵀ`.
    from: usize,
    /// First column in the output row.
    to: usize,
}

impl LoraWeights {
    pub(crate) fn new(adapter: &Adapter, config: &DecoderConfig) -> Result<Self, PackError> {
        use Projection::{Down, Gate, Key, Output, Query, Up, Value};
        let layers = (0..config.num_hidden_layers)
            .map(|layer| {
                let group = |projections: &[Projection]| {
                    LoraGroup::new(adapter, config, layer, projections)
                };
                Ok(LoraLayer {
                    query_key_value: group(&[Query, Key, Value])?,
                    output: group(&[Output])?,
                    gate_up: group(&[Gate, Up])?,
                    down: group(&[Down])?,
                })
            })
            .collect::<Result<_, PackError>>()?;
        Ok(Self { layers })
    }
}

impl LoraGroup {
    fn new(
        adapter: &Adapter,
        config: &DecoderConfig,
        layer: usize,
        projections: &[Projection],
    ) -> Result<Self, PackError> {
        let mut stacked = Vec::new();
        let mut ups = Vec::new();
        let (mut rank_total, mut output_total, mut inputs) = (0, 0, 0);
        for &projection in projections {
            let (outputs, input) = projection.shape(config);
            inputs = input;
            if let Some(pair) = adapter.pair(layer, projection) {
                let scaled: Vec<f32> = pair.b.iter().map(|b| b * pair.scale).collect();
                ups.push(Up {
                    b: PackedLinear::new(WeightFormat::F32, &scaled, outputs, pair.rank)?,
                    from: rank_total,
                    to: output_total,
                });
                stacked.extend_from_slice(&pair.a);
                rank_total += pair.rank;
            }
            output_total += outputs;
        }
        let stacked_a = (rank_total > 0)
            .then(|| PackedLinear::new(WeightFormat::F32, &stacked, rank_total, inputs))
            .transpose()?;
        Ok(Self { stacked_a, ups })
    }

    /// Adds the adapter's part to `rows` rows of `y`.
    pub(crate) fn add(
        &self,
        x: Strided<'_>,
        rows: usize,
        y: &mut StridedMut<'_>,
        scratch: &mut Vec<f32>,
    ) {
        let Some(a) = self.stacked_a.as_ref().filter(|_| rows > 0) else { return };
        let width = a.outputs();
        scratch.resize(rows * width, 0.0);
        a.store(x, rows, StridedMut { data: scratch, stride: width });
        for up in &self.ups {
            up.b.add(
                Strided { data: &scratch[up.from..], stride: width },
                rows,
                StridedMut { data: &mut y.data[up.to..], stride: y.stride },
            );
        }
    }
}
