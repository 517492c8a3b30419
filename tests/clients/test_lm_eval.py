"""lm-evaluation-harness against an engine, beside the same harness over `transformers`.

Run where `lm_eval` is installed (`pip install 'lm_eval[api]'`); elsewhere it is left out.
PELTON_BINARY is the program, PELTON_MODEL_DIR the folder of a decoder.
"""

import json
import os

import pytest
from engine_process import TOKEN, serving

lm_eval = pytest.importorskip("lm_eval")
tasks_of = pytest.importorskip("lm_eval.tasks")

TASK = """
task: wheel_questions
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list:
  - metric: acc
  - metric: acc_norm
"""
QUESTIONS = [
    {"question": f"Customer {n}: {text}. Department:", "choices": choices, "answer": n % 3}
    for n, (text, choices) in enumerate(
        [
            ("my bill is too high", [" billing", " network", " sales"]),
            ("no signal since Monday", [" billing", " network outage", " sales"]),
            ("I want a second SIM", [" the billing desk", " network", " sales"]),
            ("charged twice in March", [" billing", " network", " sales team"]),
        ]
        * 3
    )
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = os.environ["PELTON_MODEL_DIR"]
    work = tmp_path_factory.mktemp("harness")
    data = work / "questions.jsonl"
    data.write_text("\n".join(map(json.dumps, QUESTIONS)))
    (work / "wheel.yaml").write_text(TASK.format(data=data))
    os.environ |= {"OPENAI_API_KEY": TOKEN, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    os.environ["HF_HOME"] = str(work / "cache")
    tasks = tasks_of.TaskManager(include_path=str(work))

    def evaluate(model, arguments):
        return lm_eval.simple_evaluate(
            model=model,
            model_args=arguments,
            tasks=["wheel_questions"],
            task_manager=tasks,
            log_samples=True,
            bootstrap_iters=0,
        )

    with serving(folder) as url:
        served = evaluate(
            "local-completions",
            {
                "model": "model",
                "base_url": f"{url}/v1/completions",
                "tokenizer": folder,
                "tokenizer_backend": "huggingface",
                "batch_size": 4,
                "max_length": 512,
            },
        )
    reference = evaluate(
        "hf", {"pretrained": folder, "dtype": "float32", "device": "cpu", "max_length": 512}
    )
    return served, reference


def test_likelihoods_are_those_of_transformers(results):
    served, reference = (
        sorted(result["samples"]["wheel_questions"], key=lambda sample: sample["doc_id"])
        for result in results
    )
    assert len(served) == len(reference) == len(QUESTIONS)
    for found, expected in zip(served, reference, strict=True):
        pairs = zip(found["filtered_resps"], expected["filtered_resps"], strict=True)
        for (likelihood, greedy), (own, own_greedy) in pairs:
            assert float(likelihood) == pytest.approx(float(own), abs=1e-3)
            assert str(greedy) == str(own_greedy)


def test_scores_are_the_same(results):
    served, reference = (result["results"]["wheel_questions"] for result in results)
    for metric in ("acc,none", "acc_norm,none"):
        assert served[metric] == reference[metric]
