//! An adapter in llama.cpp's GGUF format (`convert_lora_to_gguf.py` and `llama-adapter.cpp` there).

use std::path::Path;

use super::quantize::{bytes_of, in_ggml_order};
use super::{GgufKind, GgufTensor, GgufValue, GgufWriter, metadata, names};
use crate::{Adapter, DecoderConfig, ModelError};

/// Writes an adapter as a GGUF file that llama.cpp applies to its base, in F32. Each pair is two tensors:
/// the weight's name with `.lora_a`, `[r, in]`, and with `.lora_b`, `[out, r]`.
///
/// # Errors
/// When the adapter was made for another base, its scale is beyond 32-bit floats, or the file exists or
/// cannot be written.
pub fn adapter_to_gguf(
    adapter: &Adapter,
    base: &DecoderConfig,
    name: &str,
    path: &Path,
) -> Result<(), ModelError> {
    adapter.check_fits(base)?;
    let architecture = metadata::architecture_of(base);
    // llama.cpp scales by alpha over the rank, and has no other way to say what rsLoRA scales by.
    let alpha = adapter.config().scale() * adapter.config().rank as f64;
    if !(alpha as f32).is_normal() {
        // Zero would be taken for a scale of one.
        return Err(ModelError::InvalidConfig(format!(
            "a scale of {} cannot be written in 32 bits",
            adapter.config().scale()
        )));
    }
    let text = |text: &str| GgufValue::Text(text.to_owned());
    let metadata = [
        ("general.type", text("adapter")),
        ("general.architecture", text(architecture)),
        ("general.name", text(name)),
        ("general.file_type", GgufValue::Integer(0)),
        ("adapter.type", text("lora")),
        ("adapter.lora.alpha", GgufValue::Float(alpha)),
    ];
    let (mut described, mut data) = (Vec::new(), Vec::new());
    for ((layer, projection), pair) in adapter.pairs() {
        let (out, input) = projection.shape(base);
        let weight = format!("{}.weight", projection.module_path(layer));
        let theirs = names::of_hugging_face(&weight).ok_or_else(|| {
            ModelError::InvalidConfig(format!("GGUF has no name for tensor {weight}"))
        })?;
        // The rows of the change are those of the weight, which are B's.
        let b = if names::is_permuted(architecture, &weight) {
            in_ggml_order(&pair.b, pair.rank, base.head_size())
        } else {
            pair.b.clone()
        };
        let tensor = |side: &str, shape: Vec<usize>| GgufTensor {
            name: format!("{theirs}.{side}"),
            shape,
            kind: GgufKind::F32,
        };
        described.push(tensor("lora_a", vec![pair.rank, input]));
        described.push(tensor("lora_b", vec![out, pair.rank]));
        data.extend([bytes_of(&pair.a), bytes_of(&b)]);
    }
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    let mut writer = GgufWriter::create(path, &metadata, &described)?;
    for bytes in data {
        writer.write(&bytes)?;
    }
    writer.finish()
}
