"""Preference losses: Pelton's against the formula of TRL's DPOTrainer, computed by PyTorch with `peft`.

PELTON_BINARY is the binary; PELTON_MODEL_DIR and PELTON_ADAPTER_DIR are the folders.
"""

import json
import os
import subprocess

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import AutoModelForCausalLM

BETA = 0.3
PAIRS = [
    {"prompt": [1, 5, 9, 42, 17], "chosen": [300, 8, 2], "rejected": [77, 2]},
    {"prompt": [1, 33, 120], "chosen": [55, 2], "rejected": [56, 200, 201, 2]},
    {"prompt": [1, 600, 601, 602], "chosen": [603, 604, 605, 2], "rejected": [603, 604, 606, 2]},
]


def folder(name):
    if name not in os.environ:
        pytest.fail(f"set {name}")
    return os.environ[name]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    pairs = tmp_path_factory.mktemp("pairs") / "pairs.json"
    pairs.write_text(json.dumps(PAIRS))
    command = [folder("PELTON_BINARY"), "engine", "rewards", "--pairs", str(pairs)]
    command += ["--model", folder("PELTON_MODEL_DIR"), "--adapter", folder("PELTON_ADAPTER_DIR")]
    answer = subprocess.run([*command, "--beta", str(BETA)], check=True, capture_output=True)
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def model():
    base = AutoModelForCausalLM.from_pretrained(folder("PELTON_MODEL_DIR"), dtype=torch.float32)
    return PeftModel.from_pretrained(base, folder("PELTON_ADAPTER_DIR")).eval()


def answer_log_probability(model, prompt, answer):
    tokens = torch.tensor([prompt + answer])
    with torch.no_grad():
        logits = model(tokens).logits[0].double().log_softmax(-1)
    rows = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return sum(logits[row, token] for row, token in zip(rows, answer, strict=True))


def test_losses_and_rewards_are_those_of_the_published_formula(model, told):
    losses = []
    for pair, rewards in zip(PAIRS, told["rewards"], strict=True):
        policy = [
            answer_log_probability(model, pair["prompt"], pair[kind])
            for kind in ("chosen", "rejected")
        ]
        with model.disable_adapter():
            reference = [
                answer_log_probability(model, pair["prompt"], pair[kind])
                for kind in ("chosen", "rejected")
            ]
        # trl.DPOTrainer.dpo_loss, loss_type "sigmoid", without label smoothing.
        logits = (policy[0] - policy[1]) - (reference[0] - reference[1])
        losses.append(-F.logsigmoid(BETA * logits))
        chosen, rejected = (
            BETA * (ours - base).item() for ours, base in zip(policy, reference, strict=True)
        )
        assert rewards["chosen"] == pytest.approx(chosen, abs=1e-3)
        assert rewards["rejected"] == pytest.approx(rejected, abs=1e-3)
        assert rewards["margin"] == pytest.approx(chosen - rejected, abs=1e-3)
        assert rewards["accuracy"] == float(chosen > rejected)
    assert told["loss"] == pytest.approx(torch.stack(losses).mean().item(), abs=1e-4)
    assert max(abs(rewards["margin"]) for rewards in told["rewards"]) > 1e-3
