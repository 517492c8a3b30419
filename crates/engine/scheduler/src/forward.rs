//! One pass of packed ragged rows through the decoder.

use std::cell::RefCell;
use std::ops::Range;

use pelton_kernels::add_bias;
use pelton_kernels::decode::{
    BLOCK_TOKENS, KvBlock, Lane, Q8Rows, Queries, Strided, StridedMut, attend, rms_norm, swiglu,
};

use crate::decoder::{Decoder, DecoderLayer, LinearLayer};
use crate::lora::{LoraGroup, LoraLayer, LoraWeights};
use crate::paged_kv::SequenceCache;
use crate::team::Team;

/// The next tokens of one sequence.
pub(crate) struct Part<'a> {
    /// Tokens to compute, following what the cache holds.
    pub(crate) tokens: &'a [u32],
    /// Must have open blocks for these tokens.
    pub(crate) cache: &'a mut SequenceCache,
    pub(crate) adapter: Option<&'a LoraWeights>,
    /// How many of the last tokens need the logits after them.
    pub(crate) logits: usize,
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
    linear: LinearScratch,
    logits: Vec<f32>,
}

impl Workspace {
    /// After [`forward`]: what the final norm made of the rows that want logits.
    pub(crate) fn hidden_states(&self) -> &[f32] {
        &self.normed
    }
}

/// Rows whose logits exist at a time: a prompt's logits together would not fit the memory.
const LOGIT_ROWS: usize = 64;

/// What linear layers need meanwhile.
#[derive(Debug, Default)]
struct LinearScratch {
    rounded: Q8Rows,
}

thread_local! {
    /// Between an adapter's two matrices, of the thread that computes it.
    static LORA_INNER: RefCell<Vec<f32>> = RefCell::default();
    /// Weights of attention, of the thread that computes it.
    static ATTENTION_WEIGHTS: RefCell<Vec<Lane>> = RefCell::default();
}

/// Neighboring rows with the same adapter.
struct Segment<'a> {
    rows: Range<usize>,
    adapter: Option<&'a LoraWeights>,
}

/// Computes all parts and writes their keys and values. What [`each_logits`] needs of the rows that
/// want logits stays in the workspace.
pub(crate) fn forward(
    decoder: &Decoder,
    parts: &mut [Part<'_>],
    workspace: &mut Workspace,
    team: &Team,
) {
    embed(decoder, parts, &mut workspace.residual);
    let mut segments = segments(parts, |part| part.tokens.len());
    for (index, layer) in decoder.layers.iter().enumerate() {
        write_keys_and_values(decoder, index, layer, parts, &segments, workspace, team);
        if index + 1 == decoder.layers.len() {
            // Nobody reads what the last layer makes of the other rows.
            keep_last_rows(decoder, parts, workspace);
            segments = self::segments(parts, |part| part.logits);
            attend_parts(decoder, index, layer, parts, workspace, team, |part| {
                part.tokens.len() - part.logits
            });
        } else {
            attend_parts(decoder, index, layer, parts, workspace, team, |_| 0);
        }
        finish_layer(decoder, index, layer, &segments, workspace, team);
    }
    for part in parts.iter_mut() {
        part.cache.advance(part.tokens.len());
    }
    resize(&mut workspace.normed, workspace.residual.len());
    rms_norm(&workspace.residual, &decoder.final_norm, epsilon(decoder), &mut workspace.normed);
}

/// After [`forward`]: shows `see` the logits of every row that wants them, `vocab_size` floats, part
/// by part in the order of their tokens.
pub(crate) fn each_logits(
    decoder: &Decoder,
    workspace: &mut Workspace,
    team: &Team,
    mut see: impl FnMut(&mut [f32]),
) {
    let (hidden, vocab) = (decoder.config.hidden_size, decoder.head.outputs());
    for normed in workspace.normed.chunks(LOGIT_ROWS * hidden) {
        let rows = normed.len() / hidden;
        resize(&mut workspace.logits, rows * vocab);
        let input = Strided { data: normed, stride: hidden };
        let input = decoder.head.prepare(input, rows, &mut workspace.linear.rounded);
        let output = StridedMut { data: &mut workspace.logits, stride: vocab };
        let columns = output.split_columns(rows, decoder.head.ranges(team.width()));
        team.each(columns, |columns| decoder.head.run(input, columns, false));
        workspace.logits.chunks_exact_mut(vocab).for_each(&mut see);
    }
}

fn epsilon(decoder: &Decoder) -> f32 {
    decoder.config.rms_norm_eps as f32
}

fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}

fn embed(decoder: &Decoder, parts: &[Part<'_>], residual: &mut Vec<f32>) {
    residual.clear();
    for token in parts.iter().flat_map(|part| part.tokens) {
        decoder.embed(*token, residual);
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
    fn run(
        self,
        team: &Team,
        segments: &[Segment<'_>],
        x: &[f32],
        y: &mut [f32],
        scratch: &mut LinearScratch,
    ) {
        let LinearLayer { weight, bias } = self.base;
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        let rows = segments.last().map_or(0, |segment| segment.rows.end);
        let input = Strided { data: x, stride: inputs };
        let input = weight.prepare(input, rows, &mut scratch.rounded);
        let output = StridedMut { data: &mut *y, stride: outputs };
        let columns = output.split_columns(rows, weight.ranges(team.width()));
        team.each(columns, |columns| weight.run(input, columns, self.adds));
        if let Some(bias) = bias {
            add_bias(&mut y[..rows * outputs], bias);
        }
        let mut runs = Vec::new();
        let mut rest = y;
        for segment in segments {
            let Range { start, end } = segment.rows;
            let (mut own, later) = rest.split_at_mut((end - start) * outputs);
            rest = later;
            let Some(adapter) = segment.adapter else { continue };
            let group = (self.group)(&adapter.layers[self.layer]);
            // Many adapters keep all threads busy; of one, each takes a part of the rows.
            let most = (end - start).div_ceil(team.width()).max(1);
            for at in (start..end).step_by(most) {
                let rows = most.min(end - at);
                let (now, after) = own.split_at_mut(rows * outputs);
                own = after;
                runs.push((group, Strided { data: &x[at * inputs..], stride: inputs }, rows, now));
            }
        }
        team.each(runs, |(group, x, rows, y)| {
            let mut y = StridedMut { data: y, stride: outputs };
            LORA_INNER.with_borrow_mut(|inner| group.add(x, rows, &mut y, inner));
        });
    }
}

fn write_keys_and_values(
    decoder: &Decoder,
    index: usize,
    layer: &DecoderLayer,
    parts: &mut [Part<'_>],
    segments: &[Segment<'_>],
    workspace: &mut Workspace,
    team: &Team,
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
    linear.run(
        team,
        segments,
        &workspace.normed,
        &mut workspace.query_key_value,
        &mut workspace.linear,
    );
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

/// Drops all rows but those that want logits.
fn keep_last_rows(decoder: &Decoder, parts: &[Part<'_>], workspace: &mut Workspace) {
    let config = &decoder.config;
    let widths = [config.hidden_size, config.query_size() + 2 * config.kv_size()];
    let buffers = [&mut workspace.residual, &mut workspace.query_key_value];
    for (buffer, width) in buffers.into_iter().zip(widths) {
        let (mut kept, mut end) = (0, 0);
        for part in parts {
            end += part.tokens.len();
            buffer.copy_within((end - part.logits) * width..end * width, kept * width);
            kept += part.logits;
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
    team: &Team,
    first: impl Fn(&Part<'_>) -> usize,
) {
    let config = &decoder.config;
    let query = config.query_size();
    let width = query + 2 * config.kv_size();
    let rows = workspace.query_key_value.len() / width;
    resize(&mut workspace.attention, rows * query);
    // A team's threads take rows by the block, of a single row some heads each; alone, a part is best taken
    // whole.
    let most = if team.width() > 1 { BLOCK_TOKENS } else { usize::MAX };
    let kv_heads = config.kv_heads();
    let group = query / kv_heads;
    let blocks: Vec<Vec<&KvBlock>> =
        parts.iter().map(|part| part.cache.blocks().collect()).collect();
    let mut runs = Vec::new();
    let (mut row, mut rest) = (0, workspace.attention.as_mut_slice());
    for (part, blocks) in parts.iter().zip(&blocks) {
        let mut at = first(part);
        while at < part.tokens.len() {
            let count = most.min(part.tokens.len() - at);
            let (mut out, later) = rest.split_at_mut(count * query);
            let shares = if count == 1 { team.width().min(kv_heads) } else { 1 };
            for share in 0..shares {
                let heads = share * kv_heads / shares..(share + 1) * kv_heads / shares;
                let (own, others) = out.split_at_mut(count * heads.len() * group);
                let first = row * width + heads.start * group;
                let queries = Queries {
                    rows: Strided { data: &workspace.query_key_value[first..], stride: width },
                    count,
                    heads: heads.len() * (config.num_attention_heads / kv_heads),
                    first_kv_head: heads.start,
                    kv_heads: heads.len(),
                    first_length: part.cache.length() + at + 1,
                    window: layer.window,
                };
                runs.push((queries, blocks, own));
                out = others;
            }
            (row, at, rest) = (row + count, at + count, later);
        }
    }
    team.each(runs, |(queries, blocks, out)| {
        ATTENTION_WEIGHTS.with_borrow_mut(|weights| {
            attend(decoder.blocks, index, blocks, queries, out, weights);
        });
    });
}

fn finish_layer(
    decoder: &Decoder,
    index: usize,
    layer: &DecoderLayer,
    segments: &[Segment<'_>],
    workspace: &mut Workspace,
    team: &Team,
) {
    let config = &decoder.config;
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let rows = workspace.residual.len() / hidden;
    let linear = |base, group, adds| Linear { base, group, layer: index, adds };
    linear(&layer.output, |lora| &lora.output, true).run(
        team,
        segments,
        &workspace.attention,
        &mut workspace.residual,
        &mut workspace.linear,
    );
    resize(&mut workspace.normed, rows * hidden);
    resize(&mut workspace.gate_up, rows * 2 * inner);
    resize(&mut workspace.activation, rows * inner);
    rms_norm(&workspace.residual, &layer.mlp_norm, epsilon(decoder), &mut workspace.normed);
    linear(&layer.gate_up, |lora| &lora.gate_up, false).run(
        team,
        segments,
        &workspace.normed,
        &mut workspace.gate_up,
        &mut workspace.linear,
    );
    let each = rows.div_ceil(team.width()).max(1);
    let shares = workspace.gate_up.chunks(2 * inner * each);
    let shares = shares.zip(workspace.activation.chunks_mut(inner * each));
    team.each(shares, |(gate_up, activation)| swiglu(gate_up, inner, activation));
    linear(&layer.down, |lora| &lora.down, true).run(
        team,
        segments,
        &workspace.activation,
        &mut workspace.residual,
        &mut workspace.linear,
    );
}
