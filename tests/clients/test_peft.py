"""An adapter that Pelton trained, in the `peft` library: the same logits, the same choice.

PELTON_MODEL_DIR and PELTON_ADAPTER_DIR are the folders; PELTON_LOGITS_JSON is a file with
{"tokens": [...], "logits": [[...]]}: one sequence of token ids, or a list of them, and for each the
logits that Pelton computes at its last position with the adapter on.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-3


def folder(name):
    if name not in os.environ:
        pytest.fail(f"set {name}")
    return os.environ[name]


@pytest.fixture(scope="module")
def expected():
    told = json.loads(Path(folder("PELTON_LOGITS_JSON")).read_text())
    tokens = told["tokens"]
    sequences = tokens if tokens and isinstance(tokens[0], list) else [tokens]
    assert sequences and len(sequences) == len(told["logits"])
    return [
        (torch.tensor([tokens]), torch.tensor(logits, dtype=torch.float32))
        for tokens, logits in zip(sequences, told["logits"], strict=True)
    ]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(
        folder("PELTON_MODEL_DIR"), dtype=torch.float32, attn_implementation="eager"
    )
    return PeftModel.from_pretrained(base, folder("PELTON_ADAPTER_DIR")).eval()


def last_logits(model, tokens):
    with torch.no_grad():
        return model(tokens).logits[0, -1].float()


def test_logits_are_the_same(model, expected):
    for tokens, logits in expected:
        found = last_logits(model, tokens)
        assert found.shape == logits.shape
        assert (found - logits).abs().max().item() <= TOLERANCE
        assert found.argmax().item() == logits.argmax().item()


def test_the_adapter_does_something(model, expected):
    tokens, _ = expected[0]
    tuned = last_logits(model, tokens)
    with model.disable_adapter():
        base = last_logits(model, tokens)
    assert (tuned - base).abs().max().item() > TOLERANCE


def test_every_tensor_of_the_adapter_has_a_place(model):
    from safetensors.torch import load_file

    saved = load_file(Path(folder("PELTON_ADAPTER_DIR")) / "adapter_model.safetensors")
    loaded = {
        name.replace(".default", ""): tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" in name
    }
    assert set(saved) == set(loaded)
    for name, tensor in saved.items():
        assert torch.equal(tensor.float(), loaded[name].float()), name
