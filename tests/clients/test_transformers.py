"""Models of every family, made by `transformers`: the same logits in Pelton.

PELTON_BINARY is the program. The models are small, their weights random; nothing is downloaded.
"""

import copy
import json
import os
import subprocess

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}
MODELS = {
    "llama": LlamaConfig(**SHAPE),
    "llama-tied": LlamaConfig(**SHAPE, tie_word_embeddings=True),
    "llama-biases": LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True),
    "llama-wide-heads": LlamaConfig(**SHAPE, head_dim=40),
    "llama-3.1": LlamaConfig(**SHAPE, rope_parameters=LLAMA3),
    "llama-linear": LlamaConfig(**SHAPE, rope_parameters=LINEAR),
    "llama-yarn": LlamaConfig(**SHAPE, rope_parameters=YARN),
    "mistral": MistralConfig(**SHAPE, sliding_window=None),
    "mistral-window": MistralConfig(**SHAPE, sliding_window=7),
    "qwen2": Qwen2Config(**SHAPE),
    "qwen2-window": Qwen2Config(
        **SHAPE, use_sliding_window=True, sliding_window=7, max_window_layers=1
    ),
    "qwen3": Qwen3Config(**SHAPE, head_dim=24),
    "qwen3-yarn": Qwen3Config(**SHAPE, head_dim=32, attention_bias=True, rope_parameters=YARN),
}
TOKENS = [(7 * at * at + 3 * at + 5) % SHAPE["vocab_size"] for at in range(48)]


@pytest.fixture(scope="module")
def program():
    if "PELTON_BINARY" not in os.environ:
        pytest.fail("set PELTON_BINARY to the program")
    return os.environ["PELTON_BINARY"]


def make(config, deviation=0.12):
    """A model whose next token depends on everything: no weight is where it starts."""
    torch.manual_seed(3)
    # A copy: a model that is cast to another type writes that into its configuration.
    config = copy.deepcopy(config)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(0.0, deviation)
            if name.endswith("norm.weight"):
                weight.add_(1.0)
    return model


def of_pelton(program, folder, *options):
    tokens = ",".join(map(str, TOKENS))
    command = [program, "engine", "logits", "--model", str(folder), "--tokens", tokens, *options]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return torch.tensor(json.loads(told.stdout)["logits"])


def of_transformers(model):
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0].float()


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_the_same(program, tmp_path, name):
    model = make(MODELS[name])
    model.save_pretrained(tmp_path)
    expected, found = of_transformers(model), of_pelton(program, tmp_path)
    assert found.shape == expected.shape
    assert expected.std().item() > 0.1
    assert (found - expected).abs().max().item() <= 2e-4 * expected.abs().max().item()


def quantized(program, folder, precision, file):
    command = [program, "model", "quantize", str(folder), "--to", precision, "--out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


def test_shards_of_half_precision_load(program, tmp_path):
    model = make(MODELS["qwen2"]).to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    # Loaded anew: what was cast had its rotary frequencies rounded, too.
    loaded = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, attn_implementation="eager"
    )
    expected, found = of_transformers(loaded.eval()), of_pelton(program, tmp_path)
    assert (found - expected).abs().max().item() <= 2e-4 * expected.abs().max().item()


def test_q8_0_stays_near(program, tmp_path):
    model = make(MODELS["qwen3"])
    model.save_pretrained(tmp_path)
    expected = of_transformers(model)
    found = of_pelton(program, tmp_path, "--quantization", "q8_0")
    difference = (found - expected).abs().max().item()
    assert 0 < difference <= 0.05 * expected.abs().max().item()


@pytest.mark.parametrize(
    "name",
    ["llama", "llama-tied", "llama-biases", "llama-wide-heads", "llama-3.1", "llama-linear",
     "llama-yarn", "mistral", "qwen2", "qwen3"],
)
def test_a_gguf_file_has_the_same_logits(program, tmp_path, name):
    model = make(MODELS[name])
    model.save_pretrained(tmp_path / "folder")
    expected = of_transformers(model)
    file = quantized(program, tmp_path / "folder", "f32", tmp_path / "model.gguf")
    found = of_pelton(program, file)
    assert (found - expected).abs().max().item() <= 2e-4 * expected.abs().max().item()


@pytest.mark.parametrize(("precision", "share"), [("q8_0", 0.06), ("q6_k", 0.15), ("q4_k_m", 0.5)])
def test_a_quantized_file_is_what_loading_makes(program, tmp_path, precision, share):
    shape = {**SHAPE, "hidden_size": 256, "intermediate_size": 512}
    # Four times as wide, with weights half as large: sums stay as large as in the other models.
    model = make(LlamaConfig(**shape), deviation=0.06)
    model.save_pretrained(tmp_path / "folder")
    expected = of_transformers(model)
    loaded = of_pelton(program, tmp_path / "folder", "--quantization", precision)
    file = quantized(program, tmp_path / "folder", precision, tmp_path / "model.gguf")
    assert torch.equal(of_pelton(program, file), loaded)
    difference = ((loaded - expected).std() / expected.std()).item()
    assert 0 < difference <= share
    again = subprocess.run(
        [program, "model", "quantize", str(tmp_path / "folder"), "--out", str(file)],
        capture_output=True, text=True, check=False,
    )
    assert again.returncode == 1 and "exists" in again.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "gemma3"}, "gemma3"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "longrope"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "original_max_position"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized"),
    ],
)
def test_what_is_not_computed_is_refused(program, tmp_path, change, said):
    make(MODELS["llama"]).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    told = subprocess.run(
        [program, "engine", "logits", "--model", str(tmp_path)], capture_output=True, text=True
    )
    assert told.returncode != 0
    assert said in told.stderr
