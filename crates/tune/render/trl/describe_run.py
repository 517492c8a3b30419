"""What is told of a run: `train_report.json` and the model card, as Pelton's own trainer writes them."""

from importlib.metadata import version

from trainers import learning_rate_share


def train_report(run, trainer):
    """`train_report.json`, in the shape that Pelton's own trainer writes."""
    share = learning_rate_share(run.numbers["warmup_steps"], trainer.state.max_steps)
    points, validated = {}, {}
    tokens = 0
    for entry in trainer.state.log_history:
        step = entry["step"]
        if "eval_loss" in entry:
            validated[step] = entry["eval_loss"]
        elif "loss" in entry:
            tokens = int(entry.get("num_input_tokens_seen", tokens))
            points[step] = {
                "step": step,
                "tokens": tokens,
                "loss": entry["loss"],
                "lr": run.numbers["learning_rate"] * share(step - 1),
                "grad_norm": entry.get("grad_norm"),
            } | rewards(entry)
    for step, loss in validated.items():
        if step in points:
            points[step]["val_loss"] = loss
    later = {step: loss for step, loss in validated.items() if step > 0}
    best_step = min(later, key=later.get) if later else trainer.state.global_step
    if run.progress.out_of_time:
        stopped = "cancelled"
    else:
        whole = trainer.state.global_step >= trainer.state.max_steps
        stopped = "completed" if whole else "early_stopped"
    return {
        "config": run.hyperparameters(),
        "stopped": stopped,
        "steps": trainer.state.global_step,
        "tokens": tokens,
        "seconds": run.seconds,
        "trained_parameters": run.trained_parameters,
        "train_examples": len(run.train),
        "validation_examples": len(run.validation),
        "initial_val_loss": validated.get(0),
        "best_val_loss": later.get(best_step),
        "best_step": best_step,
        "curve": list(points.values()),
    }


def rewards(entry):
    if "rewards/chosen" not in entry:
        return {}
    names = {"chosen": "chosen", "rejected": "rejected", "margin": "margins", "accuracy": "accuracies"}
    return {"rewards": {ours: entry[f"rewards/{theirs}"] for ours, theirs in names.items()}}


def model_card(config, report):
    what = "All weights of"
    if config["method"] == "lora":
        what = "A LoRA adapter merged into" if config["merge"] else "A LoRA adapter for"
    source = config["preferences"] if config["dataset"] is None else config["dataset"]["name"]
    stopped = {
        "completed": "went its whole length",
        "early_stopped": "stopped when the validation loss no longer fell",
        "cancelled": "stopped when its time was up",
    }[report["stopped"]]

    def loss(value):
        return "unknown" if value is None else f"{value:.4f}"

    rows = {
        "trainer": "TRL",
        "training examples": report["train_examples"],
        "steps": report["steps"],
        "tokens": report["tokens"],
        "seconds": f"{report['seconds']:.1f}",
        "trained parameters": report["trained_parameters"],
        "validation loss before": loss(report["initial_val_loss"]),
        "best validation loss": loss(report["best_val_loss"]),
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return (
        f"# {config['name']}\n\n{what} `{config['base']['ref']}`, trained on `{source}`."
        "\n\n"
        f"| | |\n| --- | --- |\n{table}\n"
        f"Training {stopped}. It answers as its dataset does and may fail on anything else; the\n"
        "evaluations of the release that carries it say how well.\n"
    )


def versions():
    names = ("trl", "transformers", "peft", "accelerate", "torch")
    return {"name": "trl", "versions": {name: version(name) for name in names}}
