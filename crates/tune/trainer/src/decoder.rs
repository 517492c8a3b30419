//! The decoder over packed sequences: the forward pass that keeps what the backward pass needs,
//! and the backward pass, by hand.

use pelton_kernels::{
    AttentionScratch, AttentionShape, Into, Real, RopeTable, Weight, add_bias, attention_backward,
    attention_forward, bias_backward, embedding_backward, linear_backward_weight,
    rms_norm_backward, rms_norm_forward, rope_backward, rope_forward, swiglu_backward,
    swiglu_forward,
};
use pelton_model::{DecoderConfig, LayerLayout, Layout, Projection, Span};

use crate::base::Weights;
use crate::low_rank::{Group, LowRank};

/// A model to pass sequences through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder<'a, T> {
    pub config: &'a DecoderConfig,
    pub layout: &'a Layout,
    pub weights: Weights<'a, T>,
    pub low_rank: Option<LowRank<'a, T>>,
    pub rope: &'a RopeTable<T>,
}

/// Sequences one after the other.
#[derive(Debug, Default, Clone)]
pub(crate) struct Packed {
    pub tokens: Vec<u32>,
    pub positions: Vec<u32>,
    /// First row of each sequence, and the number of rows last.
    pub bounds: Vec<usize>,
}

impl Packed {
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.bounds.clear();
        self.bounds.push(0);
    }

    pub fn push(&mut self, tokens: &[u32]) {
        if self.bounds.is_empty() {
            self.bounds.push(0);
        }
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(0..tokens.len() as u32);
        self.bounds.push(self.tokens.len());
    }

    pub fn rows(&self) -> usize {
        self.tokens.len()
    }
}

/// What one layer's backward pass needs, `[T, …]` each.
#[derive(Debug, Default)]
struct LayerActivations<T> {
    input: Vec<T>,
    attention_inverse_rms: Vec<T>,
    attention_input: Vec<T>,
    qkv: Vec<T>,
    /// Queries and keys before their norm, where they have one, and one over its root.
    heads: Vec<T>,
    heads_inverse_rms: Vec<T>,
    log_sums: Vec<T>,
    attention_output: Vec<T>,
    middle: Vec<T>,
    mlp_inverse_rms: Vec<T>,
    mlp_input: Vec<T>,
    gate_up: Vec<T>,
    activated: Vec<T>,
    low_rank: [Vec<T>; 4],
}

/// Which of a layer's activations wait for the backward pass; it computes the others anew, to the same
/// bits ("activation checkpointing").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Keep {
    /// All.
    #[default]
    Everything,
    /// Those that cost matrix products: a normed input or an activated gate is quickly made again.
    Products,
    /// The layer's input alone.
    Inputs,
}

/// Brings the buffers that layers share into a layer, or takes them out again.
fn exchange<T>(layer: &mut LayerActivations<T>, shared: &mut LayerActivations<T>, keep: Keep) {
    match keep {
        Keep::Everything => {}
        Keep::Products => {
            std::mem::swap(&mut layer.attention_input, &mut shared.attention_input);
            std::mem::swap(&mut layer.mlp_input, &mut shared.mlp_input);
            std::mem::swap(&mut layer.activated, &mut shared.activated);
        }
        Keep::Inputs => {
            std::mem::swap(layer, shared);
            std::mem::swap(&mut layer.input, &mut shared.input);
        }
    }
}

/// Work memory of one operator.
#[derive(Debug, Default)]
struct Scratch<T> {
    attention: AttentionScratch<T>,
    /// Rows of an 8-bit matrix.
    weight: Vec<T>,
}

/// Buffers of a forward and backward pass, kept between micro-batches.
#[derive(Debug, Default)]
pub(crate) struct Activations<T> {
    /// What the layers keep. Not to be changed between a forward pass and its backward pass.
    pub keep: Keep,
    layers: Vec<LayerActivations<T>>,
    shared: LayerActivations<T>,
    output: Vec<T>,
    final_inverse_rms: Vec<T>,
    /// The normed hidden states before the head, `[T, hidden]`.
    pub hidden: Vec<T>,
    scratch: Scratch<T>,
    /// Gradient of the residual stream.
    stream: Vec<T>,
    branch: Vec<T>,
    dqkv: Vec<T>,
    dheads: Vec<T>,
    dgate_up: Vec<T>,
    dactivated: Vec<T>,
    du: Vec<T>,
}

/// Where gradients go; they are added.
#[derive(Debug)]
pub(crate) enum Gradients<'a, T> {
    /// To all weights.
    Full(&'a mut [T]),
    /// To the pairs.
    LowRank(&'a mut [T]),
}

fn fit<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
    &mut buffer[..len]
}

impl<'a, T: Real> Decoder<'a, T> {
    /// The output head.
    pub fn head(&self) -> Weight<'a, T> {
        self.weights.matrix(self.layout.head())
    }

    fn vector(&self, span: Span) -> &'a [T] {
        self.weights.vector(span)
    }

    fn attention_shape(&self, layer: usize) -> AttentionShape {
        AttentionShape {
            heads: self.config.num_attention_heads,
            kv_heads: self.config.kv_heads(),
            head: self.config.head_size(),
            window: self.config.window(layer).unwrap_or(usize::MAX),
        }
    }

    /// Fills `activations`, `hidden` included.
    pub fn forward(&self, packed: &Packed, activations: &mut Activations<T>) {
        let (rows, width) = (packed.rows(), self.config.hidden_size);
        let layers = self.layout.layers.len();
        activations.layers.resize_with(layers, LayerActivations::default);
        let first = fit(&mut activations.layers[0].input, rows * width);
        self.weights.matrix(self.layout.embedding).rows_of(first, &packed.tokens, width);
        for layer in 0..layers {
            let (before, after) = activations.layers.split_at_mut(layer + 1);
            let next = match after.first_mut() {
                Some(next) => fit(&mut next.input, rows * width),
                None => fit(&mut activations.output, rows * width),
            };
            let saved = &mut before[layer];
            exchange(saved, &mut activations.shared, activations.keep);
            self.layer_forward(layer, packed, saved, next, &mut activations.scratch);
            exchange(saved, &mut activations.shared, activations.keep);
        }
        rms_norm_forward(
            fit(&mut activations.hidden, rows * width),
            fit(&mut activations.final_inverse_rms, rows),
            &activations.output[..rows * width],
            self.vector(self.layout.final_norm),
            self.config.rms_norm_eps,
        );
    }

    fn layer_forward(
        &self,
        index: usize,
        packed: &Packed,
        saved: &mut LayerActivations<T>,
        next: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let (rows, width) = (packed.rows(), self.config.hidden_size);
        let (layer, shape, epsilon) =
            (&self.layout.layers[index], self.attention_shape(index), self.config.rms_norm_eps);
        let inner = self.config.intermediate_size;
        let input = &saved.input[..rows * width];

        let normed = fit(&mut saved.attention_input, rows * width);
        let inverse_rms = fit(&mut saved.attention_inverse_rms, rows);
        rms_norm_forward(normed, inverse_rms, input, self.vector(layer.attention_norm), epsilon);
        let qkv = fit(&mut saved.qkv, rows * shape.width());
        let query_key_value = self.weights.matrix(layer.query_key_value());
        let weight = &mut scratch.weight;
        query_key_value.forward(qkv, Into::Replace, normed, rows, width, weight);
        self.add_bias(qkv, layer.query_key_value_bias());
        self.add_low_rank(index, Group::QueryKeyValue, qkv, normed, &mut saved.low_rank, rows);
        self.norm_heads(layer, shape, qkv, &mut saved.heads, &mut saved.heads_inverse_rms);
        let rotated = shape.heads + shape.kv_heads;
        rope_forward(qkv, shape.width(), rotated, &packed.positions, self.rope);
        let output = fit(&mut saved.attention_output, rows * shape.query_width());
        let log_sums = fit(&mut saved.log_sums, rows * shape.heads);
        attention_forward(output, log_sums, qkv, &packed.bounds, shape, &mut scratch.attention);

        let middle = fit(&mut saved.middle, rows * width);
        middle.copy_from_slice(input);
        let projection = layer.projection(Projection::Output);
        let weight = &mut scratch.weight;
        let matrix = self.weights.matrix(projection);
        matrix.forward(middle, Into::Add, output, rows, projection.cols, weight);
        self.add_bias(middle, layer.bias(Projection::Output));
        self.add_low_rank(index, Group::Output, middle, output, &mut saved.low_rank, rows);

        let normed = fit(&mut saved.mlp_input, rows * width);
        let inverse_rms = fit(&mut saved.mlp_inverse_rms, rows);
        rms_norm_forward(normed, inverse_rms, middle, self.vector(layer.mlp_norm), epsilon);
        let gate_up = fit(&mut saved.gate_up, rows * 2 * inner);
        let matrix = self.weights.matrix(layer.gate_up());
        matrix.forward(gate_up, Into::Replace, normed, rows, width, weight);
        self.add_bias(gate_up, layer.gate_up_bias());
        self.add_low_rank(index, Group::GateUp, gate_up, normed, &mut saved.low_rank, rows);
        let activated = fit(&mut saved.activated, rows * inner);
        swiglu_forward(activated, gate_up, inner);
        next.copy_from_slice(middle);
        let matrix = self.weights.matrix(layer.projection(Projection::Down));
        matrix.forward(next, Into::Add, activated, rows, inner, weight);
        self.add_bias(next, layer.bias(Projection::Down));
        self.add_low_rank(index, Group::Down, next, activated, &mut saved.low_rank, rows);
    }

    fn add_bias(&self, y: &mut [T], bias: Option<Span>) {
        if let Some(bias) = bias {
            add_bias(y, self.vector(bias));
        }
    }

    /// Norms each head of the queries and keys in place, where the family does so.
    fn norm_heads(
        &self,
        layer: &LayerLayout,
        shape: AttentionShape,
        qkv: &mut [T],
        heads: &mut Vec<T>,
        inverse_rms: &mut Vec<T>,
    ) {
        let parts = HeadNorms::new(layer, shape);
        let rows = qkv.len() / shape.width();
        let heads = fit(heads, rows * parts.width());
        let inverse_rms = fit(inverse_rms, rows * parts.heads());
        for (row, qkv) in qkv.chunks_exact_mut(shape.width()).enumerate() {
            for part in &parts.0 {
                let kept = &mut heads[row * parts.width() + part.from..][..part.heads * shape.head];
                let qkv = &mut qkv[part.from..][..part.heads * shape.head];
                kept.copy_from_slice(qkv);
                let inverse_rms = &mut inverse_rms[row * parts.heads() + part.from / shape.head..];
                let weight = self.vector(part.norm);
                rms_norm_forward(qkv, inverse_rms, kept, weight, self.config.rms_norm_eps);
            }
        }
    }

    /// Turns the gradient of normed queries and keys into that of what was normed, in place.
    fn norm_heads_backward(
        &self,
        layer: &LayerLayout,
        shape: AttentionShape,
        dqkv: &mut [T],
        saved: &LayerActivations<T>,
        scratch: &mut Vec<T>,
        gradients: &mut Gradients<'_, T>,
    ) {
        let parts = HeadNorms::new(layer, shape);
        for (row, dqkv) in dqkv.chunks_exact_mut(shape.width()).enumerate() {
            for part in &parts.0 {
                let dqkv = &mut dqkv[part.from..][..part.heads * shape.head];
                let dheads = fit(scratch, dqkv.len());
                dheads.fill(T::ZERO);
                rms_norm_backward(
                    dheads,
                    span_of(gradients, part.norm),
                    dqkv,
                    &saved.heads[row * parts.width() + part.from..][..dqkv.len()],
                    &saved.heads_inverse_rms[row * parts.heads() + part.from / shape.head..],
                    self.vector(part.norm),
                );
                dqkv.copy_from_slice(dheads);
            }
        }
    }

    fn add_low_rank(
        &self,
        layer: usize,
        group: Group,
        y: &mut [T],
        x: &[T],
        saved: &mut [Vec<T>; 4],
        rows: usize,
    ) {
        let Some(low_rank) = &self.low_rank else { return };
        if let Some(place) = low_rank.layout.group(layer, group) {
            let stride = y.len() / rows.max(1);
            low_rank.forward(place, y, stride, x, &mut saved[group as usize], rows);
        }
    }

    /// Adds the gradients of a loss whose gradient by `hidden` is `dhidden`.
    pub fn backward(
        &self,
        packed: &Packed,
        activations: &mut Activations<T>,
        dhidden: &[T],
        gradients: &mut Gradients<'_, T>,
    ) {
        let (rows, width) = (packed.rows(), self.config.hidden_size);
        let mut layers = std::mem::take(&mut activations.layers);
        let mut stream = std::mem::take(&mut activations.stream);
        fit(&mut stream, rows * width).fill(T::ZERO);
        let stream = &mut stream;
        rms_norm_backward(
            &mut stream[..rows * width],
            span_of(gradients, self.layout.final_norm),
            dhidden,
            &activations.output[..rows * width],
            &activations.final_inverse_rms[..rows],
            self.vector(self.layout.final_norm),
        );
        let mut shared = std::mem::take(&mut activations.shared);
        let last = layers.len() - 1;
        for (index, saved) in layers.iter_mut().enumerate().rev() {
            exchange(saved, &mut shared, activations.keep);
            // The forward pass left what the last layer shares.
            if index < last {
                self.recompute(index, packed, saved, activations);
            }
            let stream = &mut stream[..rows * width];
            self.layer_backward(index, packed, saved, activations, stream, gradients);
            exchange(saved, &mut shared, activations.keep);
        }
        activations.shared = shared;
        if let Some(table) = span_of(gradients, self.layout.embedding) {
            embedding_backward(table, &stream[..rows * width], &packed.tokens, width);
        }
        activations.stream = std::mem::take(stream);
        activations.layers = layers;
    }

    /// Fills in what the layer did not keep.
    fn recompute(
        &self,
        index: usize,
        packed: &Packed,
        saved: &mut LayerActivations<T>,
        activations: &mut Activations<T>,
    ) {
        let (rows, width) = (packed.rows(), self.config.hidden_size);
        let inner = self.config.intermediate_size;
        match activations.keep {
            Keep::Everything => {}
            Keep::Products => {
                let layer = &self.layout.layers[index];
                let epsilon = self.config.rms_norm_eps;
                rms_norm_forward(
                    &mut saved.attention_input[..rows * width],
                    &mut saved.attention_inverse_rms[..rows],
                    &saved.input[..rows * width],
                    self.vector(layer.attention_norm),
                    epsilon,
                );
                rms_norm_forward(
                    &mut saved.mlp_input[..rows * width],
                    &mut saved.mlp_inverse_rms[..rows],
                    &saved.middle[..rows * width],
                    self.vector(layer.mlp_norm),
                    epsilon,
                );
                let activated = &mut saved.activated[..rows * inner];
                swiglu_forward(activated, &saved.gate_up[..rows * 2 * inner], inner);
            }
            Keep::Inputs => {
                let Activations { branch, scratch, .. } = activations;
                let output = fit(branch, rows * width);
                self.layer_forward(index, packed, saved, output, scratch);
            }
        }
    }

    fn layer_backward(
        &self,
        index: usize,
        packed: &Packed,
        saved: &mut LayerActivations<T>,
        scratch: &mut Activations<T>,
        stream: &mut [T],
        gradients: &mut Gradients<'_, T>,
    ) {
        let (rows, width) = (packed.rows(), self.config.hidden_size);
        let (layer, shape) = (&self.layout.layers[index], self.attention_shape(index));
        let inner = self.config.intermediate_size;

        // Feed-forward branch.
        let activated = &saved.activated[..rows * inner];
        let dactivated = fit(&mut scratch.dactivated, rows * inner);
        let down = layer.projection(Projection::Down);
        self.linear_backward(
            down,
            Some(&mut *dactivated),
            stream,
            activated,
            rows,
            gradients,
            &mut scratch.scratch.weight,
        );
        add_bias_gradient(layer.bias(Projection::Down), stream, gradients);
        self.low_rank_backward(
            index,
            Group::Down,
            Some(&mut *dactivated),
            stream,
            activated,
            saved,
            &mut scratch.du,
            rows,
            gradients,
        );
        let dgate_up = fit(&mut scratch.dgate_up, rows * 2 * inner);
        swiglu_backward(dgate_up, dactivated, &saved.gate_up[..rows * 2 * inner], inner);
        let branch = fit(&mut scratch.branch, rows * width);
        let normed = &saved.mlp_input[..rows * width];
        self.linear_backward(
            layer.gate_up(),
            Some(&mut *branch),
            dgate_up,
            normed,
            rows,
            gradients,
            &mut scratch.scratch.weight,
        );
        add_bias_gradient(layer.gate_up_bias(), dgate_up, gradients);
        self.low_rank_backward(
            index,
            Group::GateUp,
            Some(&mut *branch),
            dgate_up,
            normed,
            saved,
            &mut scratch.du,
            rows,
            gradients,
        );
        rms_norm_backward(
            stream,
            span_of(gradients, layer.mlp_norm),
            branch,
            &saved.middle[..rows * width],
            &saved.mlp_inverse_rms[..rows],
            self.vector(layer.mlp_norm),
        );

        // Attention branch. Below the first layer of a frozen model nothing is trained.
        let query = shape.query_width();
        let output = &saved.attention_output[..rows * query];
        let doutput = fit(&mut scratch.branch, rows * query.max(width));
        let doutput = &mut doutput[..rows * query];
        let projection = layer.projection(Projection::Output);
        self.linear_backward(
            projection,
            Some(&mut *doutput),
            stream,
            output,
            rows,
            gradients,
            &mut scratch.scratch.weight,
        );
        add_bias_gradient(layer.bias(Projection::Output), stream, gradients);
        self.low_rank_backward(
            index,
            Group::Output,
            Some(&mut *doutput),
            stream,
            output,
            saved,
            &mut scratch.du,
            rows,
            gradients,
        );
        let dqkv = fit(&mut scratch.dqkv, rows * shape.width());
        attention_backward(
            dqkv,
            doutput,
            output,
            &saved.log_sums[..rows * shape.heads],
            &saved.qkv[..rows * shape.width()],
            &packed.bounds,
            shape,
            &mut scratch.scratch.attention,
        );
        let rotated = shape.heads + shape.kv_heads;
        rope_backward(dqkv, shape.width(), rotated, &packed.positions, self.rope);
        self.norm_heads_backward(layer, shape, dqkv, saved, &mut scratch.dheads, gradients);
        add_bias_gradient(layer.query_key_value_bias(), dqkv, gradients);
        let normed = &saved.attention_input[..rows * width];
        let needs_input = index > 0 || matches!(gradients, Gradients::Full(_));
        let mut branch =
            if needs_input { Some(fit(&mut scratch.branch, rows * width)) } else { None };
        self.linear_backward(
            layer.query_key_value(),
            branch.as_deref_mut(),
            dqkv,
            normed,
            rows,
            gradients,
            &mut scratch.scratch.weight,
        );
        self.low_rank_backward(
            index,
            Group::QueryKeyValue,
            branch.as_deref_mut(),
            dqkv,
            normed,
            saved,
            &mut scratch.du,
            rows,
            gradients,
        );
        if let Some(branch) = branch {
            rms_norm_backward(
                stream,
                span_of(gradients, layer.attention_norm),
                branch,
                &saved.input[..rows * width],
                &saved.attention_inverse_rms[..rows],
                self.vector(layer.attention_norm),
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that the forward pass saw")]
    fn linear_backward(
        &self,
        span: Span,
        dx: Option<&mut [T]>,
        dy: &[T],
        x: &[T],
        rows: usize,
        gradients: &mut Gradients<'_, T>,
        weight: &mut Vec<T>,
    ) {
        if let Some(dx) = dx {
            let matrix = self.weights.matrix(span);
            matrix.backward_input(dx, Into::Replace, dy, rows, span.cols, weight);
        }
        if let Some(dweight) = span_of(gradients, span) {
            linear_backward_weight(dweight, dy, x, rows, span.cols);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that the forward pass saw")]
    fn low_rank_backward(
        &self,
        layer: usize,
        group: Group,
        dx: Option<&mut [T]>,
        dy: &[T],
        x: &[T],
        saved: &LayerActivations<T>,
        du: &mut Vec<T>,
        rows: usize,
        gradients: &mut Gradients<'_, T>,
    ) {
        let (Some(low_rank), Gradients::LowRank(gradients)) = (&self.low_rank, gradients) else {
            return;
        };
        if let Some(place) = low_rank.layout.group(layer, group) {
            let u = &saved.low_rank[group as usize];
            low_rank.backward(place, gradients, dx, dy, dy.len() / rows, x, u, du, rows);
        }
    }
}

/// A run of heads inside a row of queries, keys and values, with the norm that they share.
struct HeadNorm {
    from: usize,
    heads: usize,
    norm: Span,
}

/// The normed heads of a row: queries and keys, or none.
struct HeadNorms(Vec<HeadNorm>);

impl HeadNorms {
    fn new(layer: &LayerLayout, shape: AttentionShape) -> Self {
        let queries = layer.query_norm.map(|norm| HeadNorm { from: 0, heads: shape.heads, norm });
        let from = shape.query_width();
        let keys = layer.key_norm.map(|norm| HeadNorm { from, heads: shape.kv_heads, norm });
        Self(queries.into_iter().chain(keys).collect())
    }

    fn heads(&self) -> usize {
        self.0.iter().map(|part| part.heads).sum()
    }

    fn width(&self) -> usize {
        self.0.iter().map(|part| part.heads * part.norm.cols).sum()
    }
}

fn add_bias_gradient<T: Real>(bias: Option<Span>, dy: &[T], gradients: &mut Gradients<'_, T>) {
    if let Some(dbias) = bias.and_then(|span| span_of(gradients, span)) {
        bias_backward(dbias, dy);
    }
}

/// The gradient of one tensor of the base, unless it is frozen.
fn span_of<'b, T>(gradients: &'b mut Gradients<'_, T>, span: Span) -> Option<&'b mut [T]> {
    match gradients {
        Gradients::Full(all) => Some(&mut all[span.range()]),
        Gradients::LowRank(_) => None,
    }
}
