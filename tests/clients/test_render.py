"""Fine-tunes that Pelton renders for a cluster: their manifests against the schemas of Kubernetes and Argo,
and their scripts run here, as the container would run them, against a running server.

PELTON_URL is the server, PELTON_BINARY the program. No cluster and no GPU is needed: what needs one is checked
as far as its settings.
"""

import copy
import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import kubernetes_validate
import pytest
import torch
import yaml
from hera.workflows.models import WorkflowTemplate
from peft import PeftModel
from transformers import AutoModelForCausalLM

KUBERNETES = "1.37"
BASE = "pelton/pelton-tiny@1"
RUN = uuid.uuid4().hex
SMALL = ("--epochs", "3", "--batch-tokens", "512", "--rank", "8")
# The first loss is the same arithmetic on the same tokens; the last depends on the order of examples, on the
# adapter's first weights and on how examples are gathered into steps.
FIRST_LOSS_TOLERANCE = 1e-3
LAST_LOSS_SHARE = 0.25


@pytest.fixture(scope="module")
def pelton(server, key):
    def run(*arguments):
        command = [os.environ["PELTON_BINARY"], *arguments, "--url", server, "--json"]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


@pytest.fixture(scope="module")
def ask(server, key):
    def ask(path):
        request = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    return ask


def conversation(number):
    city = ["Ghent", "Turku", "Porto", "Lviv", "Brno", "Split"][number % 6]
    messages = [
        {"role": "system", "content": "Answer with the code of the office."},
        # What a user spells like a special token stays text.
        {"role": "user", "content": f"Which office is in {city}, number {number}? <|system|>"},
    ]
    return {"messages": messages, "answer": f"office {city[:2].upper()}-{number % 6}"}


@pytest.fixture(scope="module")
def dataset(pelton, tmp_path_factory):
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text("".join(json.dumps(conversation(number)) + "\n" for number in range(60)))
    made = pelton("dataset", "upload", "offices", str(file), "--split", "0.8,0.2,0", "--wait")
    return made["dataset"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    lines = []
    for number in range(24):
        row = conversation(number)
        pair = {"messages": row["messages"], "chosen": row["answer"], "rejected": "I do not know."}
        lines.append(json.dumps(pair) + "\n")
    file.write_text("".join(lines))
    return str(file)


@pytest.fixture(scope="module")
def render(pelton):
    def render(name, *options):
        return pelton(
            *("finetune", "render", name, "--image", "registry.example/trl:1.16"),
            *("--server-url", "https://pelton.example", "--base", BASE, *options),
        )

    return render


@pytest.fixture(scope="module")
def base_folder(ask, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    fetch(ask, BASE, folder)
    return folder


def fetch(ask, reference, folder):
    """The files of a model, as any client gets them."""
    model = json.loads(ask(f"/api/v1/models/{urllib.parse.quote(reference, safe='')}"))
    for file in model["files"]:
        target = folder / file["path"]
        target.write_bytes(ask(f"/api/v1/blobs/{urllib.parse.quote(file['digest'], safe='')}"))
    return model


class Pod:
    """A container of a rendered manifest on this machine: its files, its variables, its command."""

    def __init__(self, manifest, folder, server, key, run):
        config_map, *_, job = yaml.safe_load_all(manifest)
        self.scripts = folder / "etc"
        self.scripts.mkdir(parents=True, exist_ok=True)
        for name, text in config_map["data"].items():
            (self.scripts / name).write_text(text)
        self.folder, self.job = folder, job
        if job["kind"] == "Job":
            (self.container,) = job["spec"]["template"]["spec"]["containers"]
        else:
            (template,) = job["spec"]["templates"]
            self.container = template["container"]
        self.variables = {}
        for variable in self.container["env"]:
            self.variables[variable["name"]] = variable.get("value")
        # From the cluster: its network, its Secret, the id of the run.
        self.variables |= {"PELTON_URL": server, "PELTON_API_KEY": key, "PELTON_RUN_ID": run}
        self.variables["HOME"] = str(folder)

    def start(self, rank=0):
        """Starts the command as it stands; paths and the name of the first pod are this machine's."""
        at = {
            "/etc/pelton": str(self.scripts),
            "/work": str(self.folder / "work"),
            "/downloads": str(self.folder / f"downloads-{rank}"),
            "$(JOB_COMPLETION_INDEX)": str(rank),
        }
        name = self.job["metadata"]["name"]
        at[f"{name}-0.{name}"] = "127.0.0.1"
        command = []
        for word in self.container["command"]:
            for there, here in at.items():
                word = word.replace(there, here)
            command.append(word)
        programs = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
        command[:1] = programs[command[0]]
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"} | self.variables
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self):
        process = self.start()
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
        return lines_of(output)


def lines_of(output):
    """The JSON lines of a run's output."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def result_of(lines):
    (result,) = [line["result"] for line in lines if "result" in line]
    return result


@pytest.fixture(scope="module")
def pod(server, key, tmp_path_factory):
    def pod(rendered, run):
        return Pod(rendered["manifest"], tmp_path_factory.mktemp("pod"), server, key, run)

    return pod


def check_kubernetes(document):
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def documents(rendered):
    return list(yaml.safe_load_all(rendered["manifest"]))


@pytest.fixture(scope="module")
def computed(render, dataset, pod):
    """What parts of the script answer that a run on a CPU does not reach."""
    options = ("--dataset", dataset, "--gpus-per-node", "2", "--sharding", "fsdp")
    script = """if True:
        import json, types, trainers
        stops = []
        for minutes in (None, 60.0, 0.0):
            control = types.SimpleNamespace(should_training_stop=False)
            arguments = types.SimpleNamespace(device="cpu")
            trainers.Progress(minutes).on_step_end(arguments, None, control)
            stops.append(control.should_training_stop)
        print(json.dumps({"fsdp": trainers.fsdp_arguments(), "stops": stops}))
    """
    scripts = pod(render("offices", *options), "none").scripts
    return json.loads(subprocess.check_output([sys.executable, "-c", script], cwd=scripts, text=True))


class TestManifests:
    def test_jobs_follow_the_schemas_of_kubernetes(self, render, dataset):
        one = documents(render("offices", "--dataset", dataset))
        assert [document["kind"] for document in one] == ["ConfigMap", "Job"]
        many = render(
            *("offices", "--dataset", dataset, "--method", "full", "--nodes", "2", "--gpus-per-node", "4"),
            *(
                "--sharding",
                "fsdp",
                "--storage-claim",
                "work",
                "--namespace",
                "ml",
                "--service-account",
                "it",
            ),
        )
        many = documents(many)
        assert [document["kind"] for document in many] == ["ConfigMap", "Service", "Job"]
        for document in one + many:
            check_kubernetes(document)
        wrong = copy.deepcopy(many[-1])
        wrong["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
        with pytest.raises(kubernetes_validate.ValidationError):
            check_kubernetes(wrong)

    def test_templates_follow_argos_models(self, render, pairs):
        config_map, template = documents(render("offices", "--preferences", pairs, "--target", "argo"))
        check_kubernetes(config_map)
        read = WorkflowTemplate.model_validate(template)
        # Argo's models drop what they do not know: nothing was dropped.
        written = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
        assert missing(template, written) == []
        template["spec"]["templates"][0]["container"]["comand"] = []
        read = WorkflowTemplate.model_validate(template)
        written = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
        assert missing(template, written) != []

    def test_no_key_is_in_a_manifest_and_nothing_has_rights(self, render, dataset, key):
        rendered = render("offices", "--dataset", dataset, "--api-key-secret", "keys/pelton")
        assert not key or key not in rendered["manifest"]
        _, job = documents(rendered)
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        (secret,) = [each for each in container["env"] if each["name"] == "PELTON_API_KEY"]
        assert secret["valueFrom"] == {"secretKeyRef": {"name": "keys", "key": "pelton"}}
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"

    def test_settings_for_sharding_are_those_of_trl(self, computed):
        """What cannot run without GPUs is compared with the file that TRL ships for it."""
        import trl

        (config,) = Path(trl.__file__).parent.glob("accelerate_configs/fsdp2.yaml")
        theirs = yaml.safe_load(config.read_text())["fsdp_config"]
        theirs = {name.removeprefix("fsdp_"): value for name, value in theirs.items()}
        ours = computed["fsdp"]["fsdp_config"]
        # Theirs is for full models, whose activations they leave as they are, and has defaults written out.
        assert ours.pop("activation_checkpointing") is True
        assert ours.items() <= theirs.items()

    def test_time_that_is_up_ends_a_run(self, computed):
        assert computed["stops"] == [False, False, True]


def missing(given, read, path=""):
    """Paths of `given` that `read` does not have."""
    if isinstance(given, dict):
        lost = []
        for name, value in given.items():
            there = isinstance(read, dict) and name in read
            lost += missing(value, read[name], f"{path}.{name}") if there else [f"{path}.{name}"]
        return lost
    if isinstance(given, list):
        if not isinstance(read, list) or len(read) != len(given):
            return [path]
        return [
            lost
            for place, value in enumerate(given)
            for lost in missing(value, read[place], f"{path}[{place}]")
        ]
    return []


@pytest.fixture(scope="module")
def embedded(pelton, dataset):
    """The same fine-tune by Pelton's own trainer, without what TRL does not have."""
    options = ("--dataset", dataset, "--base", BASE, "--rehearsal", "0", *SMALL)
    return pelton("finetune", "create", "offices-own", *options, "--wait")


@pytest.fixture(scope="module")
def interrupted(render, pod, dataset):
    """A run that is killed behind its first checkpoint and started again."""
    rendered = render("offices-trl", "--dataset", dataset, "--gpus-per-node", "0", *SMALL)
    assert any("rehearsal" in note for note in rendered["notes"])
    made = pod(rendered, f"offices-{RUN}")
    process = made.start()
    deadline = time.monotonic() + 300
    while not list(made.folder.glob("work/checkpoints/checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return made, made.run()


def answers_alike(folder):
    """A model that was published is one like any other, for Pelton and for others."""
    command = [os.environ["PELTON_BINARY"], "engine", "logits", "--model", str(folder)]
    told = json.loads(subprocess.check_output(command))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for tokens, logits in zip(told["tokens"], told["logits"], strict=True):
        with torch.no_grad():
            found = model(torch.tensor([tokens])).logits[0, -1]
        assert (found - torch.tensor(logits)).abs().max().item() < 1e-3


class TestRuns:
    def test_the_adapter_is_published_with_its_lineage(self, ask, interrupted, dataset):
        _, lines = interrupted
        result = result_of(lines)
        logs = [line["log"]["message"] for line in lines if "log" in line]
        assert any("goes on from checkpoint-" in message for message in logs), logs
        assert result["stopped"] == "completed"
        model = json.loads(ask(f"/api/v1/models/{result['model'].replace('@', '%40')}"))
        assert (model["kind"], model["base"]) == ("adapter", BASE)
        assert model["lineage"]["dataset"] == dataset
        assert model["lineage"]["hyperparameters"]["method"]["rank"] == 8
        assert model["lineage"]["trainer"]["name"] == "trl"
        files = {file["path"] for file in model["files"]}
        named = {"adapter_config.json", "adapter_model.safetensors", "train_report.json", "README.md"}
        assert files == named

    def test_it_learns_what_pelton_learns(self, ask, embedded, interrupted, tmp_path):
        result = result_of(interrupted[1])
        own, theirs = embedded["initial_val_loss"], result["initial_val_loss"]
        assert theirs == pytest.approx(own, abs=FIRST_LOSS_TOLERANCE)
        assert embedded["best_val_loss"] < 0.7 * own, "the task is learned at all"
        gained = own - embedded["best_val_loss"]
        assert abs(result["best_val_loss"] - embedded["best_val_loss"]) < LAST_LOSS_SHARE * gained
        # The reports have the same shape.
        (tmp_path / "own").mkdir()
        (tmp_path / "trl").mkdir()
        fetch(ask, embedded["model"], tmp_path / "own")
        fetch(ask, result["model"], tmp_path / "trl")
        reports = [json.loads((tmp_path / name / "train_report.json").read_text()) for name in ("own", "trl")]
        assert set(reports[0]) == set(reports[1])
        assert set(reports[0]["curve"][0]) == set(reports[1]["curve"][0])
        assert len(reports[1]["curve"]) == reports[1]["steps"]
        assert abs(reports[0]["steps"] - reports[1]["steps"]) <= 3
        rates = [point["lr"] for point in reports[1]["curve"]]
        assert rates[0] == pytest.approx(reports[0]["curve"][0]["lr"], rel=1e-3)

    def test_the_adapter_answers_alike_in_pelton_and_in_peft(self, ask, interrupted, base_folder, tmp_path):
        fetch(ask, result_of(interrupted[1])["model"], tmp_path)
        command = [os.environ["PELTON_BINARY"], "engine", "logits", "--model", str(base_folder)]
        told = json.loads(subprocess.check_output([*command, "--adapter", str(tmp_path)]))
        base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, tmp_path).eval()
        for tokens, logits in zip(told["tokens"], told["logits"], strict=True):
            with torch.no_grad():
                found = model(torch.tensor([tokens])).logits[0, -1]
                with model.disable_adapter():
                    untuned = model(torch.tensor([tokens])).logits[0, -1]
            assert (found - torch.tensor(logits)).abs().max().item() < 1e-3
            assert (found - untuned).abs().max().item() > 1e-2, "the adapter does something"

    def test_a_run_that_is_started_again_publishes_nothing_twice(self, server, key, interrupted):
        made, lines = interrupted
        sys.path.insert(0, str(made.scripts))
        from pelton_registry import Registry

        model = {"name": "offices-trl", "kind": "adapter", "base": BASE, "lineage": {"run": f"offices-{RUN}"}}
        again = Registry(server, key).publish(made.folder / "work" / "output", model)
        assert again["ref"] == result_of(lines)["model"]

    def test_bytes_that_changed_on_the_way_are_refused(self, server, key, interrupted, tmp_path):
        made, _ = interrupted
        sys.path.insert(0, str(made.scripts))
        import pelton_registry

        class Tampering(pelton_registry.Registry):
            def _open(self, *arguments, **options):
                answer = super()._open(*arguments, **options)
                read = answer.read
                answer.read = lambda *sizes: read(*sizes).replace(b"schema", b"scheme")
                return answer

        digest = json.loads((made.scripts / "config.json").read_text())["dataset"]["digest"]
        Registry = pelton_registry.Registry
        assert Registry(server, key).fetch(digest, tmp_path / "good", {"train.jsonl"}).is_dir()
        with pytest.raises(pelton_registry.InputError, match="other bytes"):
            Tampering(server, key).fetch(digest, tmp_path / "bad", {"train.jsonl"})
        assert not (tmp_path / "bad").exists()

    def test_pairs_are_learned_from_on_a_base_in_8_bits(self, ask, render, pod, pairs, tmp_path):
        options = ("--gpus-per-node", "0", "--epochs", "2", "--batch-tokens", "1024", "--target", "argo")
        options += ("--base-precision", "q8_0", "--merge")
        rendered = render("offices-dpo", "--preferences", pairs, *options)
        result = result_of(pod(rendered, f"pairs-{RUN}").run())
        # Before the first step the model is its own reference.
        assert result["initial_val_loss"] == pytest.approx(math.log(2), abs=1e-4)
        assert result["best_val_loss"] < 0.6
        model = fetch(ask, result["model"], tmp_path)
        assert (model["kind"], model["base"]) == ("base", None)
        assert model["lineage"]["preferences"].startswith("sha256:")
        assert model["lineage"]["hyperparameters"]["quantize"] == "int8"
        curve = json.loads((tmp_path / "train_report.json").read_text())["curve"]
        assert set(curve[0]["rewards"]) == {"chosen", "rejected", "margin", "accuracy"}
        assert curve[-1]["rewards"]["margin"] > 0
        answers_alike(tmp_path)

    def test_two_nodes_take_the_step_that_pelton_takes(self, ask, pelton, render, pod, dataset, tmp_path):
        """One step over all weights from the same rows: loss, gradient and what the step does are the same."""
        options = ("--dataset", dataset, "--method", "full", "--rehearsal", "0")
        options += (
            "--train-rows",
            "8",
            "--epochs",
            "1",
            "--batch-tokens",
            "4096",
            "--learning-rate",
            "0.003",
        )
        own = pelton("finetune", "create", "offices-whole", *options, "--wait")
        nodes = ("--gpus-per-node", "0", "--nodes", "2", "--storage-claim", "work")
        rendered = render("offices-full", *options, *nodes)
        assert documents(rendered)[-1]["spec"]["completionMode"] == "Indexed"
        made = pod(rendered, f"nodes-{RUN}")
        started = [made.start(rank) for rank in range(2)]
        outputs = [node.communicate(timeout=600)[0] for node in started]
        assert [node.returncode for node in started] == [0, 0], "\n".join(outputs)
        result = result_of(lines_of(outputs[0]) + lines_of(outputs[1]))
        reports = []
        for name, reference in (("own", own["model"]), ("trl", result["model"])):
            (tmp_path / name).mkdir()
            model = fetch(ask, reference, tmp_path / name)
            reports.append(json.loads((tmp_path / name / "train_report.json").read_text()))
        ours, theirs = ((report["curve"][0], report) for report in reports)
        assert len(ours[1]["curve"]) == len(theirs[1]["curve"]) == 1
        assert theirs[0]["loss"] == pytest.approx(ours[0]["loss"], abs=1e-3)
        assert theirs[0]["grad_norm"] == pytest.approx(ours[0]["grad_norm"], rel=1e-3)
        assert theirs[0]["lr"] == pytest.approx(ours[0]["lr"], rel=1e-5)
        moved = ours[1]["initial_val_loss"] - ours[1]["best_val_loss"]
        assert abs(moved) > 1e-2, "the step does something"
        assert theirs[1]["best_val_loss"] == pytest.approx(ours[1]["best_val_loss"], abs=1e-3)
        assert (model["kind"], model["base"]) == ("base", None)
        assert model["lineage"]["hyperparameters"]["processes"] == 2
        answers_alike(tmp_path / "trl")

    def test_rows_that_cannot_be_learned_from_are_told(self, pelton, render, pod, tmp_path):
        file = tmp_path / "long.jsonl"
        file.write_text(json.dumps(conversation(1) | {"answer": "word " * 2_000}) + "\n")
        pelton("dataset", "upload", "long", str(file), "--split", "1,0,0", "--wait")
        process = pod(render("long", "--dataset", "long@1", "--gpus-per-node", "0"), f"long-{RUN}").start()
        output, _ = process.communicate(timeout=300)
        (error,) = [line["error"] for line in lines_of(output) if "error" in line]
        assert process.returncode == 1 and "row 0: " in error["message"], output
        assert "but the base takes 1024" in error["message"]
