//! One pass of packed ragged rows through the decoder.

use std::ops::Range;

use pelton_kernels::add_bias;
use pelton_kernels::decode::{Lane, Queries, Strided, StridedMut, attend, rms_norm, swiglu};

use crate::decoder::{Decoder, DecoderLayer, LinearLayer};
use crate::lora::{LoraGroup, LoraLayer, LoraWeights};
use crate::paged_kv::SequenceCache;

/// The next tokens of one sequence.
pub(crate) struct Part<'a> {
    /// Tokens to compute, following what the cache holds.
    pub(crate) tokens: &'a [u32],
    /// Must have open blocks for these tokens.
    pub(crate) cache: &'a mut SequenceCache,
    pub(crate) adapter: Option<&'a LoraWeights>,
    /// Whether the logits after the last token are needed.
    pub(crate) wants_logits: bool,
}

/// Buffers of a worker, kept from pass to pass.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    residual: Vec<f32>,
    normed: Vec<f32>,
    query_key_value: Vec<f32>,
    heads: Vec<f32>,
    attention: Vec<f32>,
    gate_up: Vec<f32>,
    activation: Vec<f32>,
    lora: Vec<f32>,
    logits: Vec<f32>,
    weights: Vec<Lane>,
}

/// Neighboring rows with the same adapter.
struct Segment<'a> {
    rows: Range<usize>,
    adapter: Option<&'a LoraWeights>,
}

/// Computes all parts, writes their keys and values, and returns the logits of those that want them:
/// `vocab_size` floats each, in the order of the parts.
pub(crate) fn forward<'w>(
    decoder: &Decoder,
    parts: &mut [Part<'_>],
    workspace: &'w mut Workspace,
) -> &'w mut [f32] {
    let hidden = decoder.config.hidden_size;
    embed(decoder, parts, &mut workspace.residual);
    let mut segments = segments(parts, |part| part.tokens.len());
    for (index, layer) in decoder.layers.iter().enumerate() {
        write_keys_and_values(decoder, index, layer, parts, &segments, workspace);
        if index + 1 == decoder.layers.len() {
            // Nobody reads what the last layer makes of the other rows.
            keep_last_rows(decoder, parts, workspace);
            segments = self::segments(parts, |part| usize::from(part.wants_logits));
            attend_parts(decoder, index, layer, parts, workspace, |part| {
                part.tokens.len() - usize::from(part.wants_logits)
            });
        } else {
            attend_parts(decoder, index, layer, parts, workspace, |_| 0);
        }
        finish_layer(decoder, index, layer, &segments, workspace);
    }
    for part in parts.iter_mut() {
        part.cache.advance(part.tokens.len());
    }
    let rows = workspace.residual.len() / hidden;
    let vocab = decoder.head.outputs();
    resize(&mut workspace.normed, rows * hidden);
    resize(&mut workspace.logits, rows * vocab);
    rms_norm(&workspace.residual, &decoder.final_norm, epsilon(decoder), &mut workspace.normed);
    decoder.head.store(
        Strided { data: &workspace.normed, stride: hidden },
        rows,
        StridedMut { data: &mut workspace.logits, stride: vocab },
    );
    &mut workspace.logits
}

fn epsilon(decoder: &Decoder) -> f32 {
    decoder.config.rms_norm_eps as f32
}

fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}

fn embed(decoder: &Decoder, parts: &[Part<'_>], residual: &mut Vec<f32>) {
    let hidden = decoder.config.hidden_size;
    residual.clear();
    for token in parts.iter().flat_map(|part| part.tokens) {
        let at = *token as usize * hidden;
        residual.extend_from_slice(&decoder.embedding[at..at + hidden]);
    }
}

fn segments<'a>(parts: &[Part<'a>], rows_of: impl Fn(&Part<'a>) -> usize) -> Vec<Segment<'a>> {
    let mut segments: Vec<Segment<'a>> = Vec::new();
    let mut start = 0;
    for part in parts {
        let end = start + rows_of(part);
        match segments.last_mut() {
            Some(last) if same(last.adapter, part.adapter) => last.rows.end = end,
            _ => segments.push(Segment { rows: start..end, adapter: part.adapter }),
        }
        start = end;
    }
    segments
}

fn same(a: Option<&LoraWeights>, b: Option<&LoraWeights>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => std::ptr::eq(a, b),
        _ => false,
    }
}

/// Runs the base weight and its bias on all rows, then each segment's adapter on its own.
#[derive(Clone, Copy)]
struct Linear<'a> {
    base: &'a LinearLayer,
    group: fn(&LoraLayer) -> &LoraGroup,
    layer: usize,
    /// Whether the result is added to what is there.
    adds: bool,
}

impl Linear<'_> {
    fn run(self, segments: &[Segment<'_>], x: &[f32], y: &mut [f32], scratch: &mut Vec<f32>) {
        let LinearLayer { weight, bias } = self.base;
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        let rows = segments.last().map_or(0, |segment| segment.rows.end);
        let input = Strided { data: x, stride: inputs };
        let output = StridedMut { data: &mut *y, stride: outputs };
        if self.adds {
            weight.add(input, rows, output);
        } else {
            weight.store(input, rows, output);
        }
        if let Some(bias) = bias {
            add_bias(&mut y[..rows * outputs], bias);
        }
        for segment in segments {
            let Some(adapter) = segment.adapter else { continue };
            let Range { start, end } = segment.rows;
            let mut output = StridedMut { data: &mut y[start * outputs..], stride: outputs };
            (self.group)(&adapter.layers[self.layer]).add(
                Strided { data: &x[start * inputs..], stride: inputs },
                end - start,
                &mut output,
                scratch,
            );
        }
    }
}

fn write_keys_and_values(
    decoder: &Decoder,
    index: usize,
    layer: &DecoderLayer,
    parts: &mut [Part<'_>],
    segments: &[Segment<'_>],
    workspace: &mut Workspace,
) {
    let config = &decoder.config;
    let (query, kv) = (config.query_size(), config.kv_size());
    let rows = workspace.residual.len() / config.hidden_size;
    resize(&mut workspace.normed, rows * config.hidden_size);
    resize(&mut workspace.query_key_value, rows * (query + 2 * kv));
    rms_norm(&workspace.residual, &layer.attention_norm, epsilon(decoder), &mut workspace.normed);
    let linear = Linear {
        base: &layer.query_key_value,
        group: |lora| &lora.query_key_value,
        layer: index,
        adds: false,
    };
    linear.run(segments, &workspace.normed, &mut workspace.query_key_value, &mut workspace.lora);
    let mut rows = workspace.query_key_value.chunks_exact_mut(query + 2 * kv);
    for part in parts {
        let start = part.cache.length();
        for (position, row) in (start..start + part.tokens.len()).zip(&mut rows) {
            let (rotated, v) = row.split_at_mut(query + kv);
            let (q, k) = rotated.split_at_mut(query);
            norm_heads(q, layer.query_norm.as_deref(), epsilon(decoder), &mut workspace.heads);
            norm_heads(k, layer.key_norm.as_deref(), epsilon(decoder), &mut workspace.heads);
            decoder.rope.apply(rotated, position);
            part.cache.write(decoder.blocks, index, position, &rotated[query..], v);
        }
    }
}

/// Norms each head in place, where there is a norm.
fn norm_heads(heads: &mut [f32], norm: Option<&[f32]>, epsilon: f32, scratch: &mut Vec<f32>) {
    if let Some(weight) = norm {
        scratch.clear();
        scratch.extend_from_slice(heads);
        rms_norm(scratch, weight, epsilon, heads);
    }
}

/// Drops all rows but the last of each part that wants logits.
fn keep_last_rows(decoder: &Decoder, parts: &[Part<'_>], workspace: &mut Workspace) {
    let config = &decoder.config;
    let widths = [config.hidden_size, config.query_size() + 2 * config.kv_size()];
    let buffers = [&mut workspace.residual, &mut workspace.query_key_value];
    for (buffer, width) in buffers.into_iter().zip(widths) {
        let (mut kept, mut end) = (0, 0);
        for part in parts {
            end += part.tokens.len();
            if part.wants_logits {
                buffer.copy_within((end - 1) * width..end * width, kept * width);
                kept += 1;
            }
        }
        buffer.truncate(kept * width);
    }
}

/// Attention of every row that is left; a part's rows begin at `first(part)` among its tokens.
fn attend_parts(
    decoder: &Decoder,
    index: usize,
    layer: &DecoderLayer,
    parts: &[Part<'_>],
    workspace: &mut Workspace,
    first: impl Fn(&Part<'_>) -> usize,
) {
    let config = &decoder.config;
    let query = config.query_size();
    let width = query + 2 * config.kv_size();
    let rows = workspace.query_key_value.len() / width;
    resize(&mut workspace.attention, rows * query);
    let mut row = 0;
    for part in parts {
        let skip = first(part);
        let count = part.tokens.len() - skip;
        let queries = Queries {
            rows: Strided { data: &workspace.query_key_value[row * width..], stride: width },
            count,
            heads: config.num_attention_heads,
            first_length: part.cache.length() + skip + 1,
            window: layer.window,
        };
        let blocks: Vec<_> = part.cache.blocks().collect();
        let out = &mut workspace.attention[row * query..(row + count) * query];
        attend(decoder.blocks, index, &blocks, queries, out, &mut workspace.weights);
        row += count;
    }
}

fn finish_layer(
    decoder: &Decoder,
    index: usize,
    layer: &DecoderLayer,
    segments: &[Segment<'_>],
    workspace: &mut Workspace,
) {
    let config = &decoder.config;
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let rows = workspace.residual.len() / hidden;
    let linear = |base, group, adds| Linear { base, group, layer: index, adds };
    linear(&layer.output, |lora| &lora.output, true).run(
        segments,
        &workspace.attention,
        &mut workspace.residual,
        &mut workspace.lora,
    );
    resize(&mut workspace.normed, rows * hidden);
    resize(&mut workspace.gate_up, rows * 2 * inner);
    resize(&mut workspace.activation, rows * inner);
    rms_norm(&workspace.residual, &layer.mlp_norm, epsilon(decoder), &mut workspace.normed);
    linear(&layer.gate_up, |lora| &lora.gate_up, false).run(
        segments,
        &workspace.normed,
        &mut workspace.gate_up,
        &mut workspace.lora,
    );
    swiglu(&workspace.gate_up, inner, &mut workspace.activation);
    linear(&layer.down, |lora| &lora.down, true).run(
        segments,
        &workspace.activation,
        &mut workspace.residual,
        &mut workspace.lora,
    );
}
