//! Small random models in the layout of Hugging Face. That their numbers are those of `transformers`
//! is proven by `tests/clients/test_encoders.py`.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use pelton_model::{
    BaseModel, DecoderConfig, Precision, SeededNormal, TensorToWrite, write_tensor_file,
};
use pelton_tokens::{BYTE_VOCAB_SIZE, write_byte_tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Embedder, EncoderError, ReadingModel, Reranker, Work};

const HIDDEN: usize = 32;
const INNER: usize = 48;
const POSITIONS: usize = 40;

static WANTED: AtomicBool = AtomicBool::new(false);

fn work(threads: usize, tokens: usize) -> Work<'static> {
    Work { tokens, threads, abandoned: &WANTED }
}

fn write_json(folder: &Path, name: &str, value: &Value) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

/// A folder with a model of two layers, whose configuration has `changes`.
fn folder(model_type: &str, changes: Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut config = json!({
        "model_type": model_type, "vocab_size": BYTE_VOCAB_SIZE, "hidden_size": HIDDEN,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": INNER,
        "hidden_act": "gelu", "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "architectures": ["BertModel"],
    });
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    write_json(folder.path(), "config.json", &config);
    write_byte_tokenizer(folder.path()).unwrap();
    write_weights(folder.path(), model_type);
    folder
}

fn write_weights(folder: &Path, model_type: &str) {
    let prefix = if model_type == "bert" { "bert." } else { "roberta." };
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
    for (name, rows) in [("word", BYTE_VOCAB_SIZE), ("position", POSITIONS), ("token_type", 2)] {
        add(format!("{prefix}embeddings.{name}_embeddings.weight"), &[rows, HIDDEN]);
    }
    let mut pair = |name: String, outputs: usize, inputs: Option<usize>| {
        let mut shape = vec![outputs];
        shape.extend(inputs);
        add(format!("{name}.weight"), &shape);
        add(format!("{name}.bias"), &[outputs]);
    };
    pair(format!("{prefix}embeddings.LayerNorm"), HIDDEN, None);
    for layer in 0..2 {
        let name = |part: &str| format!("{prefix}encoder.layer.{layer}.{part}");
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            pair(name(&format!("attention.{part}")), HIDDEN, Some(HIDDEN));
        }
        pair(name("attention.output.LayerNorm"), HIDDEN, None);
        pair(name("intermediate.dense"), INNER, Some(HIDDEN));
        pair(name("output.dense"), HIDDEN, Some(INNER));
        pair(name("output.LayerNorm"), HIDDEN, None);
    }
    if model_type == "bert" {
        pair(format!("{prefix}pooler.dense"), HIDDEN, Some(HIDDEN));
        pair("classifier".to_owned(), 1, Some(HIDDEN));
    } else {
        pair("classifier.dense".to_owned(), HIDDEN, Some(HIDDEN));
        pair("classifier.out_proj".to_owned(), 1, Some(HIDDEN));
    }
    let mut normal = SeededNormal::new(4);
    let data: Vec<Vec<f32>> = shapes
        .iter()
        .map(|(_, shape)| {
            (0..shape.iter().product()).map(|_| (normal.draw() * 0.3) as f32).collect()
        })
        .collect();
    let tensors: Vec<TensorToWrite<'_>> = shapes
        .into_iter()
        .zip(&data)
        .map(|((name, shape), data)| TensorToWrite { name, shape, data })
        .collect();
    write_tensor_file(&folder.join("model.safetensors"), &tensors).unwrap();
}

fn embedder(folder: &TempDir) -> Embedder {
    match ReadingModel::load(folder.path(), Precision::F32).unwrap() {
        ReadingModel::Embedder(embedder) => *embedder,
        ReadingModel::Reranker(_) => panic!("a reranker"),
    }
}

fn reranker(folder: &TempDir) -> Reranker {
    match ReadingModel::load(folder.path(), Precision::F32).unwrap() {
        ReadingModel::Reranker(reranker) => *reranker,
        ReadingModel::Embedder(_) => panic!("an embedder"),
    }
}

fn pooled_as(folder: &TempDir, mode: &str, normalizes: bool) {
    let mut modules = vec![
        json!({"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}),
        json!({"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}),
    ];
    if normalizes {
        modules.push(json!({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}));
    }
    write_json(folder.path(), "modules.json", &Value::Array(modules));
    write_json(folder.path(), "1_Pooling/config.json", &json!({ mode: true }));
}

fn inputs() -> Vec<Vec<u32>> {
    (1..=9).map(|length| (0..length * 4).map(|at| 7 + (at * at + length) % 256).collect()).collect()
}

fn near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn a_vector_does_not_depend_on_its_batch() {
    let embedder = embedder(&folder("bert", json!({})));
    let alone: Vec<Vec<f32>> = inputs()
        .into_iter()
        .map(|input| embedder.embed(vec![input], work(1, 64)).unwrap().unwrap().remove(0))
        .collect();
    assert!(!near(&alone[0], &alone[1]));
    for (threads, tokens) in [(1, 1000), (2, 30), (3, 1)] {
        let together = embedder.embed(inputs(), work(threads, tokens)).unwrap().unwrap();
        assert!(together.iter().zip(&alone).all(|(a, b)| near(a, b)), "{threads}, {tokens}");
    }
}

#[test]
fn pooling_takes_what_it_says() {
    let folder = folder("bert", json!({}));
    let input = inputs().remove(3);
    let pooled = |mode: &str, normalizes| {
        pooled_as(&folder, mode, normalizes);
        embedder(&folder).embed(vec![input.clone()], work(1, 64)).unwrap().unwrap().remove(0)
    };
    let modes = [
        "pooling_mode_cls_token",
        "pooling_mode_mean_tokens",
        "pooling_mode_max_tokens",
        "pooling_mode_lasttoken",
    ];
    let vectors = modes.map(|mode| pooled(mode, false));
    for (at, one) in vectors.iter().enumerate() {
        assert!(vectors[at + 1..].iter().all(|other| !near(one, other)), "{}", modes[at]);
    }
    // The largest is nowhere below the mean.
    assert!(vectors[2].iter().zip(&vectors[1]).all(|(most, mean)| most >= mean));
    let unit = pooled(modes[1], true);
    let length: f32 = vectors[1].iter().map(|x| x * x).sum::<f32>().sqrt();
    let scaled: Vec<f32> = vectors[1].iter().map(|x| x / length).collect();
    assert!((length - 1.0).abs() > 0.1 && near(&unit, &scaled));
    let mut short = unit.clone();
    Embedder::shorten(&mut short, 8);
    assert_eq!(short.len(), 8);
    assert!((short.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    assert!((short[0] / short[1] - unit[0] / unit[1]).abs() < 1e-4);
}

#[test]
fn a_decoder_gives_its_last_state() {
    let folder = TempDir::new().unwrap();
    let config = DecoderConfig::small(BYTE_VOCAB_SIZE, 64, 96, 2, 2, 1);
    BaseModel::initialize(config, 3).unwrap().save(folder.path()).unwrap();
    write_byte_tokenizer(folder.path()).unwrap();
    assert!(!ReadingModel::is_in(folder.path()).unwrap());
    pooled_as(&folder, "pooling_mode_lasttoken", true);
    assert!(ReadingModel::is_in(folder.path()).unwrap());
    let embedder = embedder(&folder);
    let long: Vec<u32> = (0..700).map(|at| 7 + at % 250).collect();
    let of = |input: &[u32]| {
        embedder.embed(vec![input.to_vec()], work(2, 64)).unwrap().unwrap().remove(0)
    };
    // The last state sees everything before it, over the borders of chunks.
    let vector = of(&long);
    assert_eq!(vector.len(), 64);
    let mut other = long.clone();
    other[3] += 1;
    assert_ne!(of(&other), vector);
    pooled_as(&folder, "pooling_mode_mean_tokens", true);
    let mean = super::tests::embedder(&folder).embed(vec![long], work(2, 64)).unwrap().unwrap();
    assert!(!near(&mean[0], &vector));
}

#[test]
fn what_does_not_fit_is_refused() {
    let embedder = embedder(&folder("bert", json!({})));
    let refused = |input: Vec<u32>| embedder.embed(vec![vec![8], input], work(1, 64)).unwrap_err();
    assert!(matches!(refused(vec![]), EncoderError::Empty));
    assert!(matches!(refused(vec![9; 41]), EncoderError::TooLong { found: 41, most: 40 }));
    assert!(matches!(refused(vec![9999]), EncoderError::UnknownToken { token: 9999, .. }));
    assert_eq!(embedder.encode(&"a".repeat(50), Some(40)).unwrap().len(), 40);
    // Rows of RoBERTa's table up to the padding's own are not positions.
    let roberta = super::tests::embedder(&folder("xlm-roberta", json!({"pad_token_id": 1})));
    assert_eq!(roberta.max_tokens(), 38);
}

#[test]
fn models_that_are_not_computed_are_refused_by_name() {
    for (model_type, changes, said) in [
        ("bert", json!({"hidden_act": "relu"}), "relu"),
        ("bert", json!({"position_embedding_type": "relative_key"}), "positions"),
        ("bert", json!({"is_decoder": true}), "is_decoder"),
        ("bert", json!({"num_attention_heads": 5}), "multiple"),
        ("bert", json!({"hidden_size": 64}), "shape"),
        ("bert", json!({"num_hidden_layers": 3}), "encoder.layer.2"),
        ("bert", json!({"architectures": ["BertForSequenceClassification"]}), "2 labels"),
        (
            "bert",
            json!({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a"},
                   "sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh"}),
            "Tanh",
        ),
    ] {
        let folder = folder(model_type, changes);
        let error = ReadingModel::load(folder.path(), Precision::F32).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let folder = folder("bert", json!({}));
    pooled_as(&folder, "pooling_mode_weightedmean_tokens", false);
    let error = ReadingModel::load(folder.path(), Precision::F32).unwrap_err().to_string();
    assert!(error.contains("weightedmean"), "{error}");
    let outside =
        json!([{"path": "", "type": "x.Transformer"}, {"path": "../x", "type": "x.Pooling"}]);
    write_json(folder.path(), "modules.json", &outside);
    let error = ReadingModel::load(folder.path(), Precision::F32).unwrap_err().to_string();
    assert!(error.contains("../x"), "{error}");
    let dense =
        json!([{"path": "", "type": "x.Transformer"}, {"path": "2_Dense", "type": "x.Dense"}]);
    write_json(folder.path(), "modules.json", &dense);
    let error = ReadingModel::load(folder.path(), Precision::F32).unwrap_err().to_string();
    assert!(error.contains("Dense"), "{error}");
}

#[test]
fn a_reranker_scores_pairs_and_keeps_their_order() {
    for (model_type, architecture) in [
        ("bert", "BertForSequenceClassification"),
        ("xlm-roberta", "XLMRobertaForSequenceClassification"),
    ] {
        let changes = json!({"architectures": [architecture], "id2label": {"0": "LABEL_0"}});
        let sigmoid = reranker(&folder(model_type, changes.clone()));
        let mut changes = changes;
        changes["sentence_transformers"] =
            json!({"activation_fn": "torch.nn.modules.linear.Identity"});
        let raw = reranker(&folder(model_type, changes));
        let score = |model: &Reranker, texts: &[&str]| {
            let pairs: Vec<_> =
                texts.iter().map(|text| model.encode("a bill", text, None).unwrap()).collect();
            model.score(&pairs, work(2, 20)).unwrap()
        };
        let texts = ["one", "another one", "the third"];
        let (scores, logits) = (score(&sigmoid, &texts), score(&raw, &texts));
        for (score, logit) in scores.iter().zip(&logits) {
            assert!((score - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
        }
        assert!((logits[0] - logits[1]).abs() > 1e-4);
        assert!(near(&score(&raw, &["the third"]), &logits[2..]));
        let long = "x".repeat(100);
        assert!(matches!(sigmoid.encode("a", &long, None), Err(EncoderError::TooLong { .. })));
        let cut = sigmoid.encode("a", &long, Some(20)).unwrap();
        assert_eq!(cut.tokens.len(), 20);
    }
}
