//! A model's weights, rounded and written as GGUF.

use std::path::Path;

use half::f16;
use pelton_kernels::blocks::BlockFormat;
use pelton_kernels::decode::WeightFormat;

use super::{GgufKind, GgufTensor, GgufValue, GgufWriter, metadata, names};
use crate::{DecoderConfig, Layout, ModelError, Precision, Span, WeightSource};

/// Rounds rows to blocks, on all cores.
///
/// # Panics
/// Where rows are no whole blocks, or `blocks` has not their bytes.
pub fn quantize_rows(format: BlockFormat, rows: &[f32], cols: usize, blocks: &mut [u8]) {
    let count = rows.len() / cols.max(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = count.div_ceil(threads).max(1);
    if count * cols < 1 << 16 {
        format.quantize(rows, blocks);
        return;
    }
    std::thread::scope(|scope| {
        let shares = rows.chunks(each * cols).zip(blocks.chunks_mut(each * format.row_bytes(cols)));
        for (rows, blocks) in shares {
            scope.spawn(move || format.quantize(rows, blocks));
        }
    });
}

/// Writes a model as a GGUF file that llama.cpp reads. `vocabulary` is the metadata of its tokenizer;
/// `progress` hears how many of all weights are written.
///
/// # Errors
/// When the source is quantized already, has something that GGUF cannot say, cannot be read, or the
/// file exists or cannot be written.
pub fn quantize_to_gguf(
    source: &dyn WeightSource,
    precision: Precision,
    name: &str,
    vocabulary: Vec<(String, GgufValue)>,
    path: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), ModelError> {
    let config = source.config();
    let (architecture, mut metadata) = metadata::of_config(config)?;
    metadata.push(("general.name".to_owned(), GgufValue::Text(name.to_owned())));
    metadata.push(("general.file_type".to_owned(), GgufValue::Integer(file_type(precision))));
    metadata.push(("general.quantization_version".to_owned(), GgufValue::Integer(2)));
    metadata.extend(vocabulary);
    let layout = Layout::new(config)?;
    let tensors = layout.tensors();
    let mut described = Vec::new();
    for (name, span) in &tensors {
        if source.block_format(name).is_some() {
            return Err(ModelError::InvalidConfig(format!(
                "tensor {name} is quantized already; start from the weights that are not"
            )));
        }
        described.push(describe(config, precision, name, *span));
    }
    let factors = metadata::rotary_factors(config)?;
    described.extend(factors.as_ref().map(|factors| GgufTensor {
        name: "rope_freqs.weight".to_owned(),
        shape: vec![factors.len()],
        kind: GgufKind::F32,
    }));
    let mut writer = GgufWriter::create(path, &metadata, &described)?;
    let mut done = 0;
    for ((name, span), tensor) in tensors.iter().zip(&described) {
        let permuted = names::is_permuted(architecture, name);
        write_tensor(source, name, *span, tensor.kind, permuted, &mut writer, &mut |weights| {
            done += weights;
            progress(done, layout.len);
        })?;
    }
    if let Some(factors) = factors {
        writer.write(&bytes_of(&factors))?;
    }
    writer.finish()
}

/// Vectors stay floats.
fn describe(config: &DecoderConfig, precision: Precision, name: &str, span: Span) -> GgufTensor {
    let vector = name.ends_with("norm.weight") || name.ends_with(".bias");
    let format = if vector { WeightFormat::F32 } else { precision.format(config, name, span.cols) };
    GgufTensor {
        name: names::of_hugging_face(name).unwrap_or_else(|| name.to_owned()),
        shape: if vector { vec![span.cols] } else { vec![span.rows, span.cols] },
        kind: match format {
            WeightFormat::F32 => GgufKind::F32,
            WeightFormat::F16 => GgufKind::F16,
            WeightFormat::Blocks(format) => GgufKind::Blocks(format),
        },
    }
}

fn write_tensor(
    source: &dyn WeightSource,
    name: &str,
    span: Span,
    kind: GgufKind,
    permuted: bool,
    writer: &mut GgufWriter,
    progress: &mut dyn FnMut(usize),
) -> Result<(), ModelError> {
    let head = source.config().head_size();
    // Whole heads, so that rows can change places.
    let unit = if permuted { head } else { 1 };
    let mut weights = Vec::new();
    for rows in span.pieces(unit) {
        weights.resize(rows.len() * span.cols, 0.0);
        source.read_rows(name, rows, &mut weights)?;
        if permuted {
            // A bias has its elements where a matrix has its rows.
            let width = if span.rows == 1 { 1 } else { span.cols };
            weights = in_ggml_order(&weights, width, head);
        }
        match kind {
            GgufKind::Blocks(format) => {
                let mut blocks = vec![0; format.row_bytes(weights.len())];
                quantize_rows(format, &weights, span.cols, &mut blocks);
                writer.write(&blocks)?;
            }
            GgufKind::F16 => {
                let halves = weights.iter().map(|&weight| f16::from_f32(weight).to_le_bytes());
                writer.write(&halves.flatten().collect::<Vec<u8>>())?;
            }
            GgufKind::F32 | GgufKind::Bf16 => writer.write(&bytes_of(&weights))?,
        }
        progress(weights.len());
    }
    Ok(())
}

pub(super) fn in_ggml_order(weights: &[f32], width: usize, head: usize) -> Vec<f32> {
    let mut ordered = vec![0.0; weights.len()];
    for (row, weights) in weights.chunks_exact(width).enumerate() {
        ordered[names::permuted(row, head) * width..][..width].copy_from_slice(weights);
    }
    ordered
}

pub(super) fn bytes_of(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|weight| weight.to_le_bytes()).collect()
}

/// llama.cpp's number of the mixture (`llama_ftype`).
fn file_type(precision: Precision) -> i64 {
    match precision {
        Precision::F32 => 0,
        Precision::F16 => 1,
        Precision::Q8_0 => 7,
        Precision::Q4K => 14,
        Precision::Q4KM => 15,
        Precision::Q6K => 18,
    }
}
