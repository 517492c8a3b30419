//! The engine's side of the comparison of adapters in `cargo xtask bench engine`.
//!
//! `adapter_beside_llama_cpp FAMILY LENGTH FOLDER` writes a small random model, `base.gguf`, and an adapter of it,
//! `adapter.gguf`, and prints the last logits without and with the adapter after the prompt of
//! `bench/llama_peer.py`. The engine computes from the weights in memory, not from the files.

use std::io::Write as _;
use std::path::Path;

use pelton_model::{
    Adapter, AdapterConfig, BaseModel, DecoderConfig, GgufValue, Precision, Projection,
    SeededNormal, adapter_to_gguf, quantize_to_gguf,
};
use pelton_scheduler::{Decoder, last_logits};

const VOCABULARY: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [family, length, folder] = arguments.as_slice() else {
        return Err("usage: adapter_beside_llama_cpp FAMILY LENGTH FOLDER".into());
    };
    let folder = Path::new(folder);
    let mut config = DecoderConfig::small(VOCABULARY, 128, 256, 3, 4, 2);
    config.other.insert("model_type".to_owned(), family.as_str().into());
    let base = BaseModel::initialize(config.clone(), 1)?;
    let adapter = random_adapter(&config)?;

    let without = vec![("tokenizer.ggml.model".to_owned(), GgufValue::Text("none".to_owned()))];
    let file = folder.join("base.gguf");
    quantize_to_gguf(&base, Precision::F32, "random", without, &file, &mut |_, _| {})?;
    adapter_to_gguf(&adapter, &config, "random", &folder.join("adapter.gguf"))?;

    let length: usize = length.parse()?;
    let tokens: Vec<u32> =
        (0..length).map(|at| ((17 * at * at + at) % VOCABULARY) as u32).collect();
    let decoder = Decoder::new(&base, Precision::F32)?;
    let on_base = last_logits(&decoder, None, &tokens, 1)?;
    let on_adapter = last_logits(&decoder, Some(&adapter), &tokens, 1)?;
    let report = format!("{{\"base\":{on_base:?},\"adapter\":{on_adapter:?}}}");
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// Rank-stabilized, on all linear layers, and large enough that attention looks at some tokens more than at
/// others: rows of queries and keys in another order would show.
fn random_adapter(base: &DecoderConfig) -> Result<Adapter, Box<dyn std::error::Error>> {
    let config = AdapterConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilized: true,
        targets: Projection::ALL.to_vec(),
        base_model: "random".to_owned(),
    };
    let mut adapter = Adapter::initialize(config, base, 2)?;
    let mut normal = SeededNormal::new(3);
    for (_, pair) in adapter.pairs_mut() {
        pair.b.fill_with(|| (normal.draw() * 0.3) as f32);
    }
    Ok(adapter)
}
