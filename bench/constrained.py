"""Answers under the schemas of the JSON Schema test suite, and what following them costs a token.

constrained.py URL MODEL SUITE prints one JSON object. A schema is usable if the engine takes it. Of
each, two answers are sampled; those that come to their end are checked with the `jsonschema` package.
The cost is the time of a token inside a long constrained text less that of a token of a free one.
"""

import json
import pathlib
import statistics
import sys
import time
import urllib.error
import urllib.request

import jsonschema

URL, MODEL, SUITE = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
ANSWER_TOKENS = 160
TIMED_TOKENS = 400
TRIALS = 5
LIST = {
    "type": "array",
    "minItems": 200,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "count": {"type": "integer"},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["name", "count", "kind"],
        "additionalProperties": False,
    },
}


def ask(**fields):
    """The answer to one call, or none if the engine refuses it."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Write something."}], **fields}
    request = urllib.request.Request(
        URL + "/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != 400:
            raise
        return None


def form(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def schemas():
    """Each schema of the suite with what it says of JSON objects and values alike."""
    for file in sorted(SUITE.glob("*.json")):
        for case in json.loads(file.read_text()):
            if isinstance(case["schema"], dict):
                yield f"{file.stem}: {case['description']}", case["schema"]


def validity():
    usable = complete = cut = 0
    refused, wrong = [], []
    for name, schema in schemas():
        answers = [
            ask(response_format=form(schema), seed=seed, temperature=1, max_tokens=ANSWER_TOKENS)
            for seed in (1, 2)
        ]
        if None in answers:
            refused.append(name)
            continue
        usable += 1
        validator = jsonschema.Draft202012Validator(schema)
        for answer in answers:
            choice = answer["choices"][0]
            if choice["finish_reason"] != "stop":
                cut += 1
                continue
            complete += 1
            try:
                validator.validate(json.loads(choice["message"]["content"]))
            except (jsonschema.ValidationError, ValueError) as error:
                wrong.append([name, choice["message"]["content"], str(error).splitlines()[0]])
    return {
        "usable_schemas": usable,
        "refused_schemas": len(refused),
        "refused": refused,
        "complete_answers": complete,
        "cut_answers": cut,
        "wrong": wrong,
        "valid_share": (complete - len(wrong)) / max(complete, 1),
    }


def microseconds_per_token(**fields):
    """The median over some trials; the first token is the prompt's."""
    times = []
    for _ in range(TRIALS):
        begun = time.perf_counter()
        answer = ask(max_tokens=TIMED_TOKENS, temperature=0, **fields)
        took = time.perf_counter() - begun
        tokens = answer["usage"]["completion_tokens"]
        assert tokens == TIMED_TOKENS, f"{tokens} tokens"
        times.append(took / tokens * 1e6)
    return statistics.median(times)


free = microseconds_per_token(ignore_eos=True)
constrained = microseconds_per_token(response_format=form(LIST))
print(
    json.dumps(
        {
            **validity(),
            "free_us": free,
            "constrained_us": constrained,
            "overhead_us": constrained - free,
        }
    )
)
