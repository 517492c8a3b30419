"""Carries out one of Pelton's fine-tunes with TRL, and publishes the result to Pelton's registry.

    python train_trl.py --config config.json --folder /work --downloads /downloads

The settings are those that Pelton's own trainer would take, and so is what comes out: a PEFT folder (or a
whole model) with `train_report.json`. Run by `torchrun`, it trains on several devices or machines. A run
that was interrupted goes on from its last checkpoint in the folder. Progress goes to the standard output, a
JSON object a line.
"""

import argparse
import json
import math
import os
import random
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed
from accelerate import PartialState
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    EarlyStoppingCallback,
    PrinterCallback,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint
from trl import DPOConfig, SFTConfig

from describe_run import model_card, train_report, versions
from encode_examples import Encoder
from pelton_registry import InputError, Registry, prepare_folder, read_rows
from trainers import AnswerTrainer, PairTrainer, Progress, fsdp_arguments, tell

FORMAT = "pelton.dev/finetune/v1"
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
TARGETS = {"all": ATTENTION + MLP, "attention": ATTENTION, "mlp": MLP}
# What belongs to a model beside its weights.
COMPANIONS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
)
# The others wait while the first process publishes.
PUBLISH_TIMEOUT_S = 3 * 3600


class Run:
    def __init__(self, config, folder, downloads):
        if config.get("format") != FORMAT:
            found = config.get("format")
            raise InputError(f"the configuration is {found}, not {FORMAT}", "Render the job again.")
        self.config = config
        self.numbers = config["hyperparameters"]
        self.folder, self.downloads = prepare_folder(folder), prepare_folder(downloads)
        self.output = self.folder / "output"
        self.lora = config["method"] == "lora"
        self.pairs = config["preferences"] is not None
        timeout = timedelta(seconds=PUBLISH_TIMEOUT_S)
        self.processes = PartialState(cpu=not torch.cuda.is_available(), timeout=timeout)
        self.registry = Registry.from_environment()

    def fetch(self):
        """The base and what is learned from; once on each machine."""
        with self.processes.local_main_process_first():
            base = self.config["base"]["digest"]
            self.base = self.registry.fetch(base, self.downloads / "base")
            self.source = self.downloads / "source"
            if self.pairs:
                if not self.source.exists():
                    partial = self.source.with_suffix(".part")
                    self.registry.download(self.config["preferences"], partial)
                    partial.rename(self.source)
            else:
                splits = {"train.jsonl", "validation.jsonl"}
                self.registry.fetch(self.config["dataset"]["digest"], self.source, splits)

    def prepare(self):
        """Examples as tokens."""
        self.tokenizer = AutoTokenizer.from_pretrained(self.base)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        encoder = Encoder(self.base, self.tokenizer)
        if self.pairs:
            with open(self.source, encoding="utf-8") as lines:
                train = encoder.pairs(lines)
            order = random.Random(self.numbers["seed"]).sample(range(len(train)), len(train))
            held_out = order[: round(len(train) * self.numbers["held_out"])]
            self.validation = [train[place] for place in held_out]
            self.train = [train[place] for place in sorted(set(order) - set(held_out))]
        else:
            rows = read_rows(self.source / "train.jsonl")
            rows = drawn(rows, self.config["train_rows"], self.numbers["seed"])
            self.train = encoder.answers(rows)
            self.validation = encoder.answers(read_rows(self.source / "validation.jsonl"))
        if not self.train:
            raise InputError("there are no training rows", "Choose another dataset version.")

    def shape_batches(self):
        """How many examples make a step of about `batch_tokens`, and how they are divided."""
        lengths = [example_tokens(example) for example in self.train]
        steps = max(round(sum(lengths) / self.numbers["batch_tokens"]), 1)
        examples = math.ceil(len(lengths) / steps)
        share = math.ceil(examples / self.processes.num_processes)
        fits = max(self.config["micro_batch_tokens"] // max(lengths), 1)
        self.accumulation = math.ceil(share / fits)
        self.per_device = math.ceil(share / self.accumulation)
        if not self.pairs and self.validation:
            # Every process passes equally many batches; rows without labels fill the last ones.
            whole = self.per_device * self.processes.num_processes
            filler = {**self.validation[0], "labels": [-100] * len(self.validation[0]["labels"])}
            self.validation_rows = self.validation + [filler] * (-len(self.validation) % whole)
        else:
            self.validation_rows = self.validation

    def arguments(self, last):
        numbers, on_gpu = self.numbers, torch.cuda.is_available()
        validates = bool(self.validation)
        arguments = {
            "output_dir": str(self.folder / "checkpoints"),
            "num_train_epochs": numbers["epochs"],
            "per_device_train_batch_size": self.per_device,
            "per_device_eval_batch_size": self.per_device,
            "gradient_accumulation_steps": self.accumulation,
            "learning_rate": numbers["learning_rate"],
            "adam_beta1": numbers["betas"][0],
            "adam_beta2": numbers["betas"][1],
            "adam_epsilon": numbers["epsilon"],
            "weight_decay": numbers["weight_decay"],
            "max_grad_norm": numbers["clip_norm"],
            "seed": numbers["seed"],
            "bf16": self.config["precision"] == "bf16",
            "use_cpu": not on_gpu,
            "gradient_checkpointing": on_gpu and self.config["sharding"] != "fsdp",
            "logging_steps": 1,
            "save_strategy": "epoch",
            "save_total_limit": 2,
            "eval_strategy": "epoch" if validates else "no",
            "eval_on_start": validates and last is None,
            "load_best_model_at_end": validates,
            "metric_for_best_model": "eval_loss" if validates else None,
            "greater_is_better": False if validates else None,
            # Patience goes on where it was.
            "restore_callback_states_from_checkpoint": True,
            "report_to": "none",
            "include_num_input_tokens_seen": "non_padding",
            "disable_tqdm": True,
            "max_length": None,
            "ddp_timeout": PUBLISH_TIMEOUT_S,
        }
        if self.config["sharding"] == "fsdp":
            arguments |= fsdp_arguments()
        if self.pairs:
            return DPOConfig(beta=numbers["preference_beta"], loss_type="sigmoid", **arguments)
        # Labels are there already: nothing is left to prepare.
        return SFTConfig(dataset_kwargs={"skip_prepare_dataset": True}, **arguments)

    def load_base(self):
        """The base in bfloat16 where that is computed with and it is frozen, else in 32-bit floats."""
        frozen = self.lora and self.config["sharding"] != "fsdp"
        narrow = frozen and self.config["precision"] == "bf16"
        options = {"dtype": torch.bfloat16 if narrow else torch.float32}
        if self.config["quantize"] is not None:
            options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
            options["device_map"] = {"": self.processes.device}
        return AutoModelForCausalLM.from_pretrained(self.base, **options)

    def trainer(self, last):
        numbers = self.numbers
        adapter = None
        if self.lora:
            adapter = LoraConfig(
                r=numbers["rank"],
                lora_alpha=int(numbers["alpha"]) if numbers["alpha"].is_integer() else numbers["alpha"],
                use_rslora=numbers["rank_stabilized"],
                lora_dropout=0.0,
                target_modules=TARGETS[numbers["targets"]],
                task_type="CAUSAL_LM",
            )
        self.progress = Progress(self.config["max_minutes"])
        callbacks = [self.progress]
        if self.validation and numbers["patience"]:
            callbacks.append(EarlyStoppingCallback(numbers["patience"]))
        kind = PairTrainer if self.pairs else AnswerTrainer
        trainer = kind(
            model=self.load_base(),
            args=self.arguments(last),
            train_dataset=Dataset.from_list(self.train),
            eval_dataset=Dataset.from_list(self.validation_rows) if self.validation else None,
            processing_class=self.tokenizer,
            peft_config=adapter,
            callbacks=callbacks,
        )
        # Progress tells the same, one JSON object a line.
        trainer.remove_callback(PrinterCallback)
        trainer.warmup_steps = numbers["warmup_steps"]
        return trainer

    def learn(self):
        set_seed(self.numbers["seed"])
        self.shape_batches()
        checkpoints = self.folder / "checkpoints"
        last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
        trainer = self.trainer(last)
        parameters = trainer.model.parameters()
        self.trained_parameters = sum(each.numel() for each in parameters if each.requires_grad)
        if self.processes.is_main_process:
            tell(log={"level": "info", "message": self.describe(trainer, last)})
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=last)
        self.seconds = time.monotonic() - started
        # All processes take part: a sharded model is gathered.
        trainer.save_model(str(self.folder / "saved"))
        return trainer

    def describe(self, trainer, last):
        per_step = self.per_device * self.accumulation * self.processes.num_processes
        again = f"; goes on from {Path(last).name}" if last else ""
        kind = "pairs" if self.pairs else "examples"
        return (
            f"{self.config['name']}: {len(self.train)} training {kind}, {len(self.validation)} for "
            f"validation, {per_step} a step on {self.processes.num_processes} processes{again}"
        )

    def hyperparameters(self):
        kind = {"kind": "full"}
        if self.lora:
            names = ("rank", "alpha", "rank_stabilized")
            kind = {"kind": "lora", "targets": TARGETS} | {name: self.numbers[name] for name in names}
        others = {name: value for name, value in self.numbers.items() if name not in kind}
        return {
            "method": kind,
            **others,
            "precision": self.config["precision"],
            "quantize": self.config["quantize"],
            "sharding": self.config["sharding"],
            "processes": self.processes.num_processes,
            "examples_per_step": self.per_device * self.accumulation * self.processes.num_processes,
        }

    def write(self, report):
        """The folder that is published."""
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir()
        saved = self.folder / "saved"
        if self.lora:
            # The base's name in the registry, and not its folder in this container.
            settings = json.loads((saved / "adapter_config.json").read_text())
            settings["base_model_name_or_path"] = self.config["base"]["ref"]
            (saved / "adapter_config.json").write_text(json.dumps(settings, indent=2))
            if self.config["merge"]:
                self.merge(saved)
            else:
                for name in ("adapter_config.json", "adapter_model.safetensors"):
                    shutil.copy(saved / name, self.output / name)
        if self.whole:
            for path in saved.glob("model*.safetensors*"):
                shutil.copy(path, self.output / path.name)
            for name in COMPANIONS:
                if (self.base / name).exists():
                    shutil.copy(self.base / name, self.output / name)
        (self.output / "train_report.json").write_text(json.dumps(report, indent=2))
        (self.output / "README.md").write_text(model_card(self.config, report))

    def merge(self, saved):
        base = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
        PeftModel.from_pretrained(base, str(saved)).merge_and_unload().save_pretrained(saved)

    @property
    def whole(self):
        """Whether a base model comes out, and not an adapter."""
        return self.config["merge"] or not self.lora

    def publish(self, report):
        config = self.config
        lineage = {
            "run": os.environ.get("PELTON_RUN_ID") or f"local-{config['name']}-{time.time_ns()}",
            "dataset": None if self.pairs else config["dataset"]["name"],
            "preferences": config["preferences"],
            "base": config["base"]["ref"],
            "hyperparameters": report["config"],
            "trainer": versions(),
        }
        model = {
            "name": config["name"],
            "kind": "base" if self.whole else "adapter",
            "base": None if self.whole else config["base"]["ref"],
            "license": config["base"]["license"],
            "card": (self.output / "README.md").read_text(),
            "lineage": lineage,
        }
        return self.registry.publish(self.output, model)

    def carry_out(self):
        self.fetch()
        self.prepare()
        trainer = self.learn()
        report = train_report(self, trainer)
        if self.processes.is_main_process:
            self.write(report)
            model = self.publish(report)
            names = ("steps", "tokens", "initial_val_loss", "best_val_loss", "best_step", "stopped")
            told = {name: report[name] for name in names}
            tell(result={"model": model["ref"], "train_seconds": report["seconds"], **told})
            for name in ("checkpoints", "saved"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        # A process that left early would look like a machine that was lost.
        self.processes.wait_for_everyone()


def drawn(rows, count, seed):
    """At most `count` rows, the ones that Pelton draws with this seed."""
    if count is None or count >= len(rows):
        return rows
    import xxhash

    def key(row):
        return xxhash.xxh3_64_intdigest(row["hash"].encode(), seed=seed), row["index"]

    return sorted(rows, key=key)[:count]


def example_tokens(example):
    if "input_ids" in example:
        return len(example["input_ids"])
    return 2 * len(example["prompt_ids"]) + len(example["chosen_ids"]) + len(example["rejected_ids"])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="the rendered settings, JSON")
    parser.add_argument(
        "--folder", required=True, help="for checkpoints and what comes out; it outlives a restart"
    )
    parser.add_argument("--downloads", required=True, help="for the base and the rows; of this machine alone")
    arguments = parser.parse_args()
    try:
        config = json.loads(Path(arguments.config).read_text())
        Run(config, arguments.folder, arguments.downloads).carry_out()
    except InputError as error:
        tell(error={"code": "invalid_input", "message": str(error), "hint": error.hint, "retryable": False})
        sys.exit(1)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
