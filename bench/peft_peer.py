"""PyTorch with PEFT on the batches of `cargo xtask bench tune`: speed, memory and losses.

    python peft_peer.py MODEL FOLDER THREADS

MODEL is a Hugging Face folder; FOLDER holds batches.json and the adapter that training begins with.
Batches are padded to their longest example, as transformers' Trainer does it. Prints one JSON object.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def padded(examples):
    longest = max(len(example["tokens"]) for example in examples)
    tokens, mask, labels = [], [], []
    for example in examples:
        own, prompt = example["tokens"], example["prompt"]
        rest = longest - len(own)
        tokens.append(own + [0] * rest)
        mask.append([1] * len(own) + [0] * rest)
        labels.append([-100] * prompt + own[prompt:] + [-100] * rest)
    return {
        "input_ids": torch.tensor(tokens),
        "attention_mask": torch.tensor(mask),
        "labels": torch.tensor(labels),
    }


def main():
    model_folder, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    batches = json.loads((folder / "batches.json").read_text())
    begun = time.perf_counter()
    base = AutoModelForCausalLM.from_pretrained(
        model_folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    base.config.use_cache = False
    loading = time.perf_counter() - begun
    model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0
    )
    losses, seconds, tokens, computed = [], 0.0, 0, 0
    for step, examples in enumerate(batches):
        begun = time.perf_counter()
        batch = padded(examples)
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step > 0:
            seconds += time.perf_counter() - begun
            tokens += sum(len(example["tokens"]) for example in examples)
            computed += batch["input_ids"].numel()
    print(
        json.dumps(
            {
                "losses": losses,
                "tokens_per_s": tokens / seconds,
                "tokens_per_s_with_padding": computed / seconds,
                "loading_s": loading,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "trained": sum(parameter.numel() for parameter in trained),
            }
        )
    )


main()
