//! An adapter's matrices, packed for the forward pass: `y += (x Aᵀ) (scale · B)ᵀ`.
//!
//! Projections that read the same input (queries, keys and values; gate and up) have their `A`
//! stacked, so that the input is read once.

use pelton_kernels::decode::{
    PackError, PackedLinear, Strided, StridedMut, WeightFormat, WeightMemory,
};
use pelton_model::{Adapter, DecoderConfig, Projection};

use crate::decoder::Decoder;

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
    /// Beside weights that are rounded the adapter's are halved in length, since every step reads the
    /// adapters of all its rows beside the base.
    pub(crate) fn new(adapter: &Adapter, decoder: &Decoder) -> Result<Self, PackError> {
        let (config, rounded) = (decoder.config(), decoder.rounds());
        let mut packing = Packing {
            adapter,
            config,
            format: if rounded && fits_halves(adapter) {
                WeightFormat::F16
            } else {
                WeightFormat::F32
            },
            memory: WeightMemory::default(),
        };
        use Projection::{Down, Gate, Key, Output, Query, Up, Value};
        let layers = (0..config.num_hidden_layers)
            .map(|layer| {
                let mut group = |projections: &[Projection]| packing.group(layer, projections);
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

/// Whether none of an adapter's numbers is beyond 16 bits.
fn fits_halves(adapter: &Adapter) -> bool {
    const MOST: f32 = 65_504.0;
    adapter.pairs().all(|(_, pair)| {
        let a = pair.a.iter().all(|a| a.abs() <= MOST);
        a && pair.b.iter().all(|b| (b * pair.scale).abs() <= MOST)
    })
}

/// What packing an adapter needs.
struct Packing<'a> {
    adapter: &'a Adapter,
    config: &'a DecoderConfig,
    format: WeightFormat,
    memory: WeightMemory,
}

impl Packing<'_> {
    fn group(&mut self, layer: usize, projections: &[Projection]) -> Result<LoraGroup, PackError> {
        let (format, memory) = (self.format, &mut self.memory);
        let mut stacked = Vec::new();
        let mut ups = Vec::new();
        let (mut rank_total, mut output_total, mut inputs) = (0, 0, 0);
        for &projection in projections {
            let (outputs, input) = projection.shape(self.config);
            inputs = input;
            if let Some(pair) = self.adapter.pair(layer, projection) {
                let scaled: Vec<f32> = pair.b.iter().map(|b| b * pair.scale).collect();
                ups.push(Up {
                    b: PackedLinear::new(format, &scaled, outputs, pair.rank, memory)?,
                    from: rank_total,
                    to: output_total,
                });
                stacked.extend_from_slice(&pair.a);
                rank_total += pair.rank;
            }
            output_total += outputs;
        }
        let stacked_a = (rank_total > 0)
            .then(|| PackedLinear::new(format, &stacked, rank_total, inputs, memory))
            .transpose()?;
        Ok(LoraGroup { stacked_a, ups })
    }
}

impl LoraGroup {
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
