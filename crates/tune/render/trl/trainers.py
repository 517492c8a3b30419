"""TRL's trainers with Pelton's learning rate, validation loss and progress."""

import json
import math
import time

import torch
import torch.distributed
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback
from trl import DPOTrainer, SFTTrainer


def tell(**line):
    print(json.dumps(line), flush=True)


def learning_rate_share(warmup_steps, total_steps):
    """The share of the peak at a step, from zero: a linear rise, and a linear fall to the end."""

    def share(step):
        rise = min((step + 1) / warmup_steps, 1.0) if warmup_steps else 1.0
        return rise * max(1.0 - step / max(total_steps, 1), 0.0)

    return share


class Schedule:
    """For both trainers: Pelton's learning rate."""

    warmup_steps = 0

    def create_scheduler(self, num_training_steps, optimizer=None):
        if self.lr_scheduler is None:
            share = learning_rate_share(self.warmup_steps, num_training_steps)
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, share)
        return self.lr_scheduler


class AnswerTrainer(Schedule, SFTTrainer):
    """TRL's, with a validation loss that is the mean over tokens and not over batches."""

    def evaluation_loop(self, *args, **kwargs):
        self.answer_sums = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(*args, **kwargs)
        loss, tokens = self.accelerator.reduce(self.answer_sums.to(self.args.device), "sum")
        output.metrics["eval_loss"] = (loss / tokens.clamp(min=1)).item()
        return output

    def prediction_step(self, model, inputs, *args, **kwargs):
        answer_tokens = (inputs["labels"][:, 1:] != -100).sum().item()
        loss, logits, labels = super().prediction_step(model, inputs, *args, **kwargs)
        self.answer_sums += torch.tensor([loss.item() * answer_tokens, answer_tokens])
        return loss, logits, labels


class PairTrainer(Schedule, DPOTrainer):
    """TRL's, on pairs that are tokens already."""

    def _prepare_dataset(self, dataset, *_args, **_kwargs):
        return dataset


class Progress(TrainerCallback):
    """Tells each step, and ends the run when its time is up."""

    def __init__(self, max_minutes):
        self.started = time.monotonic()
        self.limit_s = math.inf if max_minutes is None else 60 * max_minutes
        self.out_of_time = False

    def on_step_end(self, args, state, control, **_kwargs):
        if math.isinf(self.limit_s):
            return
        # One clock decides for all processes: they must leave together.
        over = torch.tensor(float(time.monotonic() - self.started >= self.limit_s), device=args.device)
        if torch.distributed.is_initialized():
            torch.distributed.broadcast(over, 0)
        if over.item():
            self.out_of_time = control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **_kwargs):
        if not state.is_world_process_zero or not logs:
            return
        values = {name: round(value, 6) for name, value in logs.items() if isinstance(value, (int, float))}
        tell(metric={"step": state.global_step, "values": values})
        tell(progress={"done": state.global_step, "total": state.max_steps, "unit": "steps"})


def fsdp_arguments():
    """PyTorch's FSDP2, layer by layer."""
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "reshard_after_forward": True,
            "cpu_ram_efficient_loading": True,
            "state_dict_type": "FULL_STATE_DICT",
            "activation_checkpointing": True,
        },
    }
