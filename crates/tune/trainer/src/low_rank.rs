//! Low-rank pairs beside linear layers, forward and backward.
//!
//! Pairs whose linear layers read the same input form a group: their `A` lie together, so that one
//! product serves the group.

use pelton_kernels::{Into, Matrix, MatrixMut, Real, matmul};
use pelton_model::{Adapter, AdapterConfig, DecoderConfig, ModelError, Projection, Span};

/// The groups of linear layers that read the same input.
const GROUPS: [&[Projection]; 4] = [
    &[Projection::Query, Projection::Key, Projection::Value],
    &[Projection::Output],
    &[Projection::Gate, Projection::Up],
    &[Projection::Down],
];

/// Which group of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    QueryKeyValue,
    Output,
    GateUp,
    Down,
}

/// Where the pairs of one group lie.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupLayout {
    /// `[parts · r, in]`.
    pub a: Span,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
struct Part {
    projection: Projection,
    /// First column of this linear layer in the group's output.
    column: usize,
    /// `[out, r]`.
    b: Span,
}

/// Where all pairs lie in one flat buffer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LowRankLayout {
    pub config: AdapterConfig,
    layers: Vec<[Option<GroupLayout>; 4]>,
    pub len: usize,
}

impl LowRankLayout {
    pub fn new(config: &AdapterConfig, base: &DecoderConfig) -> Self {
        let mut next = 0;
        let rank = config.rank;
        let mut place = |rows: usize, cols: usize| {
            let span = Span { start: next, rows, cols };
            next += rows * cols;
            span
        };
        let layers = (0..base.num_hidden_layers)
            .map(|_| GROUPS.map(|group| group_layout(group, config, base, rank, &mut place)))
            .collect();
        Self { config: config.clone(), layers, len: next }
    }

    pub fn group(&self, layer: usize, group: Group) -> Option<&GroupLayout> {
        self.layers[layer][group as usize].as_ref()
    }

    /// An adapter's weights in this layout.
    pub fn flatten(&self, adapter: &Adapter) -> Vec<f32> {
        let mut flat = vec![0.0; self.len];
        for (key, pair) in adapter.pairs() {
            if let Some((a, b)) = self.spans(key) {
                flat[a.range()].copy_from_slice(&pair.a);
                flat[b.range()].copy_from_slice(&pair.b);
            }
        }
        flat
    }

    /// The adapter with these weights.
    pub fn unflatten(&self, flat: &[f32], base: &DecoderConfig) -> Result<Adapter, ModelError> {
        let mut adapter = Adapter::initialize(self.config.clone(), base, 0)?;
        for (key, pair) in adapter.pairs_mut() {
            if let Some((a, b)) = self.spans(key) {
                pair.a.copy_from_slice(&flat[a.range()]);
                pair.b.copy_from_slice(&flat[b.range()]);
            }
        }
        Ok(adapter)
    }

    /// The spans of one linear layer's `A` and `B`.
    pub fn spans(&self, (layer, projection): (usize, Projection)) -> Option<(Span, Span)> {
        let rank = self.config.rank;
        self.layers[layer].iter().flatten().find_map(|group| {
            let order = group.parts.iter().position(|part| part.projection == projection)?;
            let start = group.a.start + order * rank * group.a.cols;
            Some((Span { start, rows: rank, cols: group.a.cols }, group.parts[order].b))
        })
    }

    fn scale<T: Real>(&self) -> T {
        T::of(self.config.scale())
    }
}

fn group_layout(
    group: &[Projection],
    config: &AdapterConfig,
    base: &DecoderConfig,
    rank: usize,
    place: &mut impl FnMut(usize, usize) -> Span,
) -> Option<GroupLayout> {
    let targeted = group.iter().filter(|projection| config.targets.contains(projection)).count();
    if targeted == 0 {
        return None;
    }
    let (_, input) = group[0].shape(base);
    let a = place(targeted * rank, input);
    let mut column = 0;
    let mut parts = Vec::new();
    for &projection in group {
        let (out, _) = projection.shape(base);
        if config.targets.contains(&projection) {
            parts.push(Part { projection, column, b: place(out, rank) });
        }
        column += out;
    }
    Some(GroupLayout { a, parts })
}

/// A flat buffer of pairs with its layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LowRank<'a, T> {
    pub layout: &'a LowRankLayout,
    pub weights: &'a [T],
}

impl<T: Real> LowRank<'_, T> {
    /// `y += scale · (x Aᵀ) Bᵀ` for each part; `y` has rows `stride` wide. `u` keeps `x Aᵀ`.
    pub fn forward(
        &self,
        group: &GroupLayout,
        y: &mut [T],
        stride: usize,
        x: &[T],
        u: &mut Vec<T>,
        rows: usize,
    ) {
        let (rank, input) = (self.layout.config.rank, group.a.cols);
        let width = group.a.rows;
        u.resize(rows * width, T::ZERO);
        matmul(
            MatrixMut::new(u, rows, width),
            Into::Replace,
            Matrix::new(x, rows, input),
            Matrix::new(&self.weights[group.a.range()], width, input).transposed(),
            T::ONE,
        );
        for (order, part) in group.parts.iter().enumerate() {
            let out = part.b.rows;
            matmul(
                MatrixMut::strided(&mut y[part.column..], rows, out, stride),
                Into::Add,
                Matrix::strided(&u[order * rank..], rows, rank, width),
                Matrix::new(&self.weights[part.b.range()], out, rank).transposed(),
                self.layout.scale(),
            );
        }
    }

    /// Adds to `gradients` (and to `dx`, if asked for) what `dy` says about the pairs.
    #[expect(clippy::too_many_arguments, reason = "everything that the forward pass saw")]
    pub fn backward(
        &self,
        group: &GroupLayout,
        gradients: &mut [T],
        dx: Option<&mut [T]>,
        dy: &[T],
        stride: usize,
        x: &[T],
        u: &[T],
        du: &mut Vec<T>,
        rows: usize,
    ) {
        let (rank, input) = (self.layout.config.rank, group.a.cols);
        let width = group.a.rows;
        du.resize(rows * width, T::ZERO);
        for (order, part) in group.parts.iter().enumerate() {
            let out = part.b.rows;
            let dy = Matrix::strided(&dy[part.column..], rows, out, stride);
            matmul(
                MatrixMut::new(&mut gradients[part.b.range()], out, rank),
                Into::Add,
                dy.transposed(),
                Matrix::strided(&u[order * rank..], rows, rank, width),
                self.layout.scale(),
            );
            matmul(
                MatrixMut::strided(&mut du[order * rank..], rows, rank, width),
                Into::Replace,
                dy,
                Matrix::new(&self.weights[part.b.range()], out, rank),
                self.layout.scale(),
            );
        }
        let du = Matrix::new(&du[..rows * width], rows, width);
        matmul(
            MatrixMut::new(&mut gradients[group.a.range()], width, input),
            Into::Add,
            du.transposed(),
            Matrix::new(x, rows, input),
            T::ONE,
        );
        if let Some(dx) = dx {
            matmul(
                MatrixMut::new(dx, rows, input),
                Into::Add,
                du,
                Matrix::new(&self.weights[group.a.range()], width, input),
                T::ONE,
            );
        }
    }
}
