//! Model and adapter folders: round trips and broken input.

use std::path::Path;

use crate::{Adapter, AdapterConfig, BaseModel, DecoderConfig, ModelError, Projection};

fn tiny() -> BaseModel {
    BaseModel::initialize(DecoderConfig::small(40, 64, 96, 2, 2, 1), 7).unwrap()
}

fn adapter(base: &BaseModel) -> Adapter {
    let config = AdapterConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilized: false,
        targets: Projection::ALL.to_vec(),
        base_model: "tiny".into(),
    };
    let mut adapter = Adapter::initialize(config, base.config(), 3).unwrap();
    for (_, pair) in adapter.pairs_mut() {
        pair.b.iter_mut().enumerate().for_each(|(i, b)| *b = (i % 7) as f32 * 0.01);
    }
    adapter
}

fn message(folder: &Path) -> String {
    let error = BaseModel::load(folder).unwrap_err().to_string();
    error.replace(&folder.display().to_string(), "MODEL")
}

#[test]
fn model_survives_save_and_load() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny();
    model.save(folder.path()).unwrap();
    let loaded = BaseModel::load(folder.path()).unwrap();
    assert_eq!(loaded.config(), model.config());
    assert_eq!(loaded.weights(), model.weights());
}

#[test]
fn weights_do_not_depend_on_anything_but_the_seed() {
    assert_eq!(tiny().weights(), tiny().weights());
    let other = BaseModel::initialize(tiny().config().clone(), 8).unwrap();
    assert_ne!(other.weights(), tiny().weights());
}

#[test]
fn sharded_models_load() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny();
    model.save(folder.path()).unwrap();
    let single = folder.path().join("model.safetensors");
    std::fs::rename(&single, folder.path().join("part-1.safetensors")).unwrap();
    let map: std::collections::BTreeMap<_, _> = model
        .layout()
        .tensors()
        .into_iter()
        .map(|(name, _)| (name, "part-1.safetensors"))
        .collect();
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    let path = folder.path().join("model.safetensors.index.json");
    std::fs::write(&path, index.to_string()).unwrap();
    assert_eq!(BaseModel::load(folder.path()).unwrap().weights(), model.weights());

    let escaping = index.to_string().replace("part-1", "../part-1");
    std::fs::write(&path, escaping).unwrap();
    assert!(message(folder.path()).contains("not a file name in the same folder"));
}

#[test]
fn half_precision_is_widened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let bytes: Vec<u8> =
        [1.5_f32, -2.0].iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::BF16, vec![2], &bytes);
    let file = safetensors::serialize([("x", view.unwrap())], None).unwrap();
    std::fs::write(&path, file).unwrap();
    assert_eq!(crate::TensorFile::open(&path).unwrap().read("x").unwrap(), [1.5, -2.0]);
}

#[test]
fn broken_weights_are_named() {
    let folder = tempfile::tempdir().unwrap();
    tiny().save(folder.path()).unwrap();
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();

    std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    assert!(
        message(folder.path()).starts_with("MODEL/model.safetensors is damaged: its tensors end")
    );
    std::fs::write(&path, &whole[..5]).unwrap();
    assert!(message(folder.path()).contains("5 bytes are too few for a header"));
    std::fs::write(&path, [&[0xff; 8], &whole[8..]].concat()).unwrap();
    assert!(message(folder.path()).contains("the header claims"));
    let mut garbled = whole.clone();
    garbled[8] = b'x';
    std::fs::write(&path, garbled).unwrap();
    assert!(message(folder.path()).contains("the header does not parse"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(message(folder.path()), "cannot open MODEL/model.safetensors");
}

#[test]
fn weights_of_another_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    tiny().save(folder.path()).unwrap();
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"))
        .unwrap();
    assert!(message(folder.path()).contains("has no tensor model.layers.2.input_layernorm.weight"));
    std::fs::write(&config, text.replace("\"vocab_size\": 40", "\"vocab_size\": 41")).unwrap();
    assert!(message(folder.path()).contains("has shape [40, 64], expected [41, 64]"));
    std::fs::write(&config, text.replace("\"vocab_size\": 40", "\"vocab_size\": 0")).unwrap();
    assert!(message(folder.path()).contains("vocab_size is 0"));
    std::fs::write(&config, text.replace("\"attention_bias\": false", "\"attention_bias\": true"))
        .unwrap();
    assert!(message(folder.path()).contains("no tensor model.layers.0.self_attn.q_proj.bias"));
    for (change, said) in [
        ("\"model_type\": \"gemma3\"", "gemma3"),
        ("\"qk_norm\": true", "qk_norm is set"),
        ("\"hidden_act\": \"gelu\"", "gelu"),
        ("\"quantization_config\": {}", "quantized"),
        ("\"rope_parameters\": {\"rope_type\": \"longrope\"}", "longrope"),
        ("\"rope_parameters\": {\"rope_type\": \"linear\"}", "lack factor"),
        ("\"rope_parameters\": {\"rope_theta\": 1}", "rope_theta is 1"),
        ("\"model_type\": \"mistral\", \"sliding_window\": 0", "sliding_window must be positive"),
    ] {
        let rest: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("\"model_type\"") && !line.contains("hidden_act"))
            .collect();
        let changed = rest.join("\n").replacen('{', &format!("{{ {change},"), 1);
        std::fs::write(&config, changed).unwrap();
        let message = message(folder.path());
        assert!(message.contains(said), "{change}: {message}");
    }
    std::fs::write(&config, "{").unwrap();
    assert!(matches!(BaseModel::load(folder.path()), Err(ModelError::Json { .. })));
}

#[test]
fn adapter_survives_save_and_load() {
    let folder = tempfile::tempdir().unwrap();
    let base = tiny();
    let adapter = adapter(&base);
    adapter.save(folder.path()).unwrap();
    assert_eq!(Adapter::load(folder.path(), base.config()).unwrap(), adapter);
    let names = crate::TensorFile::open(&folder.path().join("adapter_model.safetensors")).unwrap();
    assert!(
        names
            .names()
            .contains(&"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".to_owned())
    );
}

#[test]
fn adapters_that_need_more_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = tiny();
    adapter(&base).save(folder.path()).unwrap();
    let path = folder.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        Adapter::load(folder.path(), base.config()).unwrap_err().to_string()
    };
    assert!(refused("\"use_dora\": false", "\"use_dora\": true").contains("DoRA"));
    assert!(refused("\"bias\": \"none\"", "\"bias\": \"all\"").contains("bias"));
    assert!(
        refused("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]")
            .contains("modules_to_save")
    );
    assert!(refused("\"q_proj\"", "\"embed_tokens\"").contains("embed_tokens"));
    assert!(refused("\"r\": 4", "\"r\": 8").contains("has shape"));
    assert!(refused("\"r\": 4", "\"r\": 0").contains("r is 0"));
    assert!(
        refused("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"")
            .contains("changes the base")
    );
    std::fs::write(&path, &text).unwrap();
    let other = DecoderConfig::small(40, 64, 96, 1, 2, 1);
    let error = Adapter::load(folder.path(), &other).unwrap_err().to_string();
    assert!(error.contains("1 layers"), "{error}");
}

#[test]
fn scale_follows_peft() {
    let mut config = adapter(&tiny()).config().clone();
    assert!((config.scale() - 2.0).abs() < 1e-12);
    config.rank_stabilized = true;
    assert!((config.scale() - 4.0).abs() < 1e-12);
}

#[test]
fn merging_adds_the_product() {
    let base = tiny();
    let adapter = adapter(&base);
    let merged = base.merged(&adapter).unwrap();
    let pair = adapter.pair(1, Projection::Down).unwrap();
    let (out, input) = Projection::Down.shape(base.config());
    for (row, col) in [(0, 0), (out - 1, input - 1), (5, 11)] {
        let change: f32 =
            (0..4).map(|r| pair.b[row * 4 + r] * pair.a[r * input + col]).sum::<f32>() * pair.scale;
        let index = row * input + col;
        let expected = base.projection(1, Projection::Down)[index] + change;
        let found = merged.projection(1, Projection::Down)[index];
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(merged.tensor(merged.layout().embedding), base.tensor(base.layout().embedding));
}

#[test]
fn large_tensors_are_read_in_whole_rows() {
    let folder = tempfile::tempdir().unwrap();
    let config = DecoderConfig::small(1_100, 1_024, 64, 1, 4, 2);
    let model = BaseModel::initialize(config, 3).unwrap();
    model.save(folder.path()).unwrap();
    let (mut pieces, mut found) = (0, vec![0.0; model.weights().len()]);
    let mut filled = 0;
    BaseModel::read_in_pieces::<ModelError>(folder.path(), |layout, span, piece| {
        assert_eq!(layout.len, model.weights().len());
        assert!(piece.len().is_multiple_of(span.cols));
        // A tensor's pieces come in order, one tensor after the other.
        filled =
            if span.start >= filled || filled >= span.range().end { span.start } else { filled };
        found[filled..filled + piece.len()].copy_from_slice(piece);
        filled += piece.len();
        pieces += 1;
        Ok(())
    })
    .unwrap();
    assert!(pieces > model.layout().tensors().len());
    assert_eq!(found, model.weights());
}
