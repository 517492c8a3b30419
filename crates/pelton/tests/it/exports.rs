//! `pelton model export-adapter`: from folders to a GGUF file, without a server.

use pelton_model::{Adapter, AdapterConfig, BaseModel, DecoderConfig, GgufFile, Projection};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn export(folder: &Path, adapter: &str, out: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pelton"))
        .current_dir(folder)
        .args(["model", "export-adapter", adapter, "--base", "base", "--out", out, "--json"])
        .output()
        .unwrap()
}

#[test]
fn an_adapter_folder_becomes_a_gguf_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = DecoderConfig::small(48, 64, 96, 2, 4, 2);
    BaseModel::initialize(config.clone(), 1).unwrap().save(&folder.path().join("base")).unwrap();
    // Only the configuration is needed.
    std::fs::remove_file(folder.path().join("base/model.safetensors")).unwrap();
    let adapter = AdapterConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilized: false,
        targets: vec![Projection::Query, Projection::Down],
        base_model: "base".into(),
    };
    let adapter = Adapter::initialize(adapter, &config, 1).unwrap();
    adapter.save(&folder.path().join("desk")).unwrap();

    let output = export(folder.path(), "desk", "desk.gguf");
    assert!(output.status.success(), "{output:?}");
    let file = folder.path().join("desk.gguf");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = std::fs::metadata(&file).unwrap().len();
    let expected = json!({ "path": "desk.gguf", "bytes": bytes, "rank": 4, "scale": 2.0,
        "linear_layers": 4 });
    assert_eq!(printed, expected);
    let file = GgufFile::open(&file).unwrap();
    assert_eq!(file.text("general.name"), Some("desk"));
    assert!(file.tensor("blk.1.ffn_down.weight.lora_b").is_some());

    for (adapter, out, said) in [
        ("desk", "desk.gguf", "desk.gguf exists"),
        ("desk", "desk.bin", "must end in .gguf"),
        ("desk@1", "other.gguf", "pelton model pull"),
    ] {
        let output = export(folder.path(), adapter, out);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && complaint.contains(said), "{complaint}");
    }
}
