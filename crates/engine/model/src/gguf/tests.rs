//! Files that are written come back, and damaged ones are refused without a panic.

use std::path::Path;

use pelton_kernels::blocks::BlockFormat;
use tempfile::TempDir;

use super::{GgufKind, GgufTensor, GgufValue};
use crate::{
    Adapter, AdapterConfig, BaseModel, DecoderConfig, GgufFile, GgufModel, GgufWriter, ModelError,
    Precision, Projection, SeededNormal, adapter_to_gguf, model_config, open_model,
    quantize_to_gguf,
};

fn model(config: DecoderConfig) -> BaseModel {
    let model = BaseModel::initialize(config.clone(), 3).unwrap();
    let weights = model.weights().iter().enumerate();
    let weights = weights.map(|(at, weight)| weight + (at % 5) as f32 * 0.01).collect();
    BaseModel::new(config, weights).unwrap()
}

fn write(model: &BaseModel, precision: Precision, path: &Path) -> Result<(), ModelError> {
    quantize_to_gguf(model, precision, "test", Vec::new(), path, &mut |_, _| {})
}

#[test]
fn every_family_that_gguf_can_say_comes_back_as_it_was() {
    let folder = TempDir::new().unwrap();
    let small = DecoderConfig::small(48, 64, 96, 3, 4, 2);
    let mut untied = small.clone();
    untied.tie_word_embeddings = false;
    let families = small.in_every_family().into_iter().chain([small, untied]);
    let mut written = 0;
    for (at, mut config) in families.enumerate() {
        // What GGUF cannot say is refused by name.
        let model_of_it = model(config.clone());
        let path = folder.path().join(format!("{at}.gguf"));
        if let Err(error) = write(&model_of_it, Precision::F32, &path) {
            assert!(error.to_string().contains("which GGUF files cannot say"), "{error}");
            config.other.remove("sliding_window");
            config.other.insert("use_sliding_window".into(), false.into());
            config.other.insert("sliding_window".into(), serde_json::Value::Null);
            config.other.insert("attention_bias".into(), false.into());
            write(&model(config.clone()), Precision::F32, &path).unwrap();
        }
        let original = model(config.clone());
        let back = BaseModel::load(&path).unwrap();
        assert_eq!(back.weights(), original.weights(), "{}", config.family());
        let (found, expected) = (back.config().rotary().unwrap(), config.rotary().unwrap());
        for (found, expected) in found.frequencies.iter().zip(&expected.frequencies) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(found.scale, expected.scale);
        assert_eq!(back.config().rms_norm_eps, config.rms_norm_eps);
        assert_eq!(back.config().tie_word_embeddings, config.tie_word_embeddings);
        written += 1;
    }
    assert_eq!(written, 6);
}

#[test]
fn blocks_are_read_as_they_were_written_in_hugging_faces_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    let original = model(DecoderConfig::small(48, 256, 512, 4, 8, 2));
    write(&original, Precision::Q4KM, &path).unwrap();
    let source = open_model(folder.path()).unwrap();
    let name = "model.layers.1.self_attn.q_proj.weight";
    assert_eq!(source.block_format(name), Some(BlockFormat::Q4K));
    assert_eq!(source.block_format("model.embed_tokens.weight"), Some(BlockFormat::Q6K));
    let down = |layer| format!("model.layers.{layer}.mlp.down_proj.weight");
    let formats: Vec<_> = (0..4).map(|layer| source.block_format(&down(layer))).collect();
    let (four, six) = (Some(BlockFormat::Q4K), Some(BlockFormat::Q6K));
    // Of four layers, `7 · 4 / 8` and what follows, and every third.
    assert_eq!(formats, [four, four, six, six]);
    let rows = 40..75;
    let span = original.layout().span(name).unwrap();
    let expected = &original.tensor(span)[rows.start * 256..rows.end * 256];
    let mut blocks = vec![0; BlockFormat::Q4K.row_bytes(expected.len())];
    BlockFormat::Q4K.quantize(expected, &mut blocks);
    let mut found = vec![0; blocks.len()];
    source.read_blocks(name, rows.clone(), &mut found).unwrap();
    assert_eq!(found, blocks);
    let (mut weights, mut expected) = (vec![0.0; 35 * 256], vec![0.0; 35 * 256]);
    source.read_rows(name, rows, &mut weights).unwrap();
    BlockFormat::Q4K.dequantize(&blocks, &mut expected);
    assert_eq!(weights, expected);
}

#[test]
fn a_file_is_not_overwritten_and_half_a_file_not_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    let small = model(DecoderConfig::small(48, 64, 96, 1, 4, 2));
    write(&small, Precision::Q8_0, &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = write(&small, Precision::F32, &path).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let other = folder.path().join("other.gguf");
    let tensor = GgufTensor { name: "a".into(), shape: vec![2, 32], kind: GgufKind::F32 };
    let mut writer = GgufWriter::create(&other, &[], &[tensor]).unwrap();
    assert!(writer.write(&[0; 300]).is_err());
    writer.write(&[0; 128]).unwrap();
    assert!(writer.finish().is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the first is there");
}

#[test]
fn quantized_weights_are_not_rounded_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    write(&model(DecoderConfig::small(48, 64, 96, 1, 4, 2)), Precision::Q8_0, &path).unwrap();
    let source = GgufModel::open(&path).unwrap();
    let again = folder.path().join("again.gguf");
    let error = quantize_to_gguf(&source, Precision::Q4K, "", Vec::new(), &again, &mut |_, _| {});
    assert!(error.unwrap_err().to_string().contains("quantized already"));
}

fn adapter(base: &DecoderConfig, rank_stabilized: bool) -> Adapter {
    let config = AdapterConfig {
        rank: 4,
        alpha: 6.0,
        rank_stabilized,
        targets: Projection::ALL.to_vec(),
        base_model: String::new(),
    };
    let mut adapter = Adapter::initialize(config, base, 5).unwrap();
    let mut normal = SeededNormal::new(6);
    for (_, pair) in adapter.pairs_mut() {
        pair.b.fill_with(|| normal.draw() as f32);
    }
    adapter
}

#[test]
fn what_llama_cpp_adds_for_an_adapter_is_what_merging_adds() {
    for (family, architecture) in
        [("llama", "llama"), ("mistral", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3")]
    {
        for rank_stabilized in [false, true] {
            let folder = TempDir::new().unwrap();
            let path = |name: &str| folder.path().join(name);
            let mut config = DecoderConfig::small(48, 64, 96, 2, 4, 2);
            config.other.insert("model_type".into(), family.into());
            let base = model(config.clone());
            let adapter = adapter(&config, rank_stabilized);
            write(&base, Precision::F32, &path("base.gguf")).unwrap();
            write(&base.merged(&adapter).unwrap(), Precision::F32, &path("merged.gguf")).unwrap();
            let config = model_config(&path("base.gguf")).unwrap();
            adapter_to_gguf(&adapter, &config, "desk", &path("adapter.gguf")).unwrap();

            let open = |name| GgufFile::open(&path(name)).unwrap();
            let (base, merged) = (open("base.gguf"), open("merged.gguf"));
            let file = open("adapter.gguf");
            for (key, expected) in [
                ("general.type", "adapter"),
                ("general.architecture", architecture),
                ("general.name", "desk"),
                ("adapter.type", "lora"),
            ] {
                assert_eq!(file.text(key), Some(expected), "{key}");
            }
            let expected = if rank_stabilized { 12.0 } else { 6.0 };
            assert_eq!(file.value("adapter.lora.alpha"), Some(&GgufValue::Float(expected)));
            assert_eq!(file.tensor_count(), 2 * 7 * 2);
            for layer in 0..2 {
                for leaf in
                    ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
                {
                    let name = format!("blk.{layer}.{leaf}.weight");
                    let shape = base.tensor(&name).unwrap().shape.clone();
                    let read = |file: &GgufFile, name: &str, shape: &[usize]| {
                        assert_eq!(file.tensor(name).unwrap().shape, shape, "{name}");
                        file.read_floats(name, 0..shape[0]).unwrap()
                    };
                    let mut weight = read(&base, &name, &shape);
                    let a = read(&file, &format!("{name}.lora_a"), &[4, shape[1]]);
                    let b = read(&file, &format!("{name}.lora_b"), &[shape[0], 4]);
                    for (at, weight) in weight.iter_mut().enumerate() {
                        let (row, col) = (at / shape[1], at % shape[1]);
                        let product = |rank: usize| b[row * 4 + rank] * a[rank * shape[1] + col];
                        *weight += expected as f32 / 4.0 * (0..4).map(product).sum::<f32>();
                    }
                    let merged = read(&merged, &name, &shape);
                    for (found, expected) in weight.iter().zip(&merged) {
                        let difference = (found - expected).abs();
                        assert!(difference < 1e-5, "{family} {name}: {found} {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn an_adapter_is_no_model_and_one_for_another_base_is_not_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("adapter.gguf");
    let config = DecoderConfig::small(48, 64, 96, 2, 4, 2);
    let mut adapter = adapter(&config, false);
    let other = DecoderConfig::small(48, 96, 96, 2, 4, 2);
    let error = adapter_to_gguf(&adapter, &other, "x", &path).unwrap_err();
    assert!(error.to_string().contains("does not fit the base"), "{error}");
    assert!(!path.exists());
    adapter_to_gguf(&adapter, &config, "x", &path).unwrap();
    let error = adapter_to_gguf(&adapter, &config, "x", &path).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    let error = GgufModel::open(&path).unwrap_err();
    assert!(error.to_string().contains("it is an adapter"), "{error}");
    let tiny = AdapterConfig { alpha: 1e-50, ..adapter.config().clone() };
    adapter = Adapter::initialize(tiny, &config, 1).unwrap();
    let error = adapter_to_gguf(&adapter, &config, "x", &folder.path().join("y.gguf"));
    assert!(error.unwrap_err().to_string().contains("32 bits"));
}

#[test]
fn damaged_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    let vocabulary = vec![
        ("tokenizer.ggml.tokens".to_owned(), GgufValue::Texts(vec!["a".into(), "b".into()])),
        ("tokenizer.ggml.token_type".to_owned(), GgufValue::Integers(vec![1, 3])),
        ("tokenizer.ggml.scores".to_owned(), GgufValue::Floats(vec![0.5, -1.0])),
        ("tokenizer.ggml.add_bos_token".to_owned(), GgufValue::Bool(true)),
    ];
    let small = model(DecoderConfig::small(48, 64, 96, 1, 4, 2));
    quantize_to_gguf(&small, Precision::Q8_0, "x", vocabulary, &path, &mut |_, _| {}).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(
        file.value("tokenizer.ggml.tokens"),
        Some(&GgufValue::Texts(vec!["a".into(), "b".into()]))
    );
    assert_eq!(file.value("tokenizer.ggml.token_type"), Some(&GgufValue::Integers(vec![1, 3])));
    assert_eq!(file.value("tokenizer.ggml.scores"), Some(&GgufValue::Floats(vec![0.5, -1.0])));
    assert_eq!(file.value("tokenizer.ggml.add_bos_token"), Some(&GgufValue::Bool(true)));

    let damaged = folder.path().join("damaged.gguf");
    let open = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).unwrap();
        GgufModel::open(&damaged).map(drop)
    };
    // Every beginning of the file lacks something: that is always an error.
    for length in (0..whole.len()).step_by(37) {
        assert!(open(&whole[..length]).is_err(), "{length} bytes");
    }
    // Changed bytes may make another file that is whole, but never a panic or a huge allocation.
    let mut random = SeededNormal::new(8);
    let mut refused = 0;
    for _ in 0..1000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.bits() % 3 {
            let at = (random.bits() % 1600) as usize;
            bytes[at] = match random.bits() % 4 {
                0 => 0xFF,
                1 => 0,
                2 => bytes[at] ^ 1 << (random.bits() % 8),
                _ => random.bits() as u8,
            };
        }
        refused += usize::from(open(&bytes).is_err());
    }
    assert!(refused > 300, "{refused} of 1000");
}
