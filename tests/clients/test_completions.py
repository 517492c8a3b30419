"""`/v1/completions` with the `openai` package, its scores beside those of `transformers`.

PELTON_BINARY is the program, PELTON_MODEL_DIR the folder of a decoder.
"""

import os

import openai
import pytest
import torch
from engine_process import connect, serving
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "The bill of March is due on the 14th.",
    "Zażółć gęślą jaźń: 12,50 €!",
    "a",
    "x " * 180,
]


@pytest.fixture(scope="module")
def folder():
    return os.environ["PELTON_MODEL_DIR"]


@pytest.fixture(scope="module")
def client(folder):
    with serving(folder) as url, connect(url) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer(folder):
    return PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"))


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def scores_of(model, tokens):
    """Per token but the first, its log-probability, and the log-probabilities that it had among."""
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].double()
    rows = logits.log_softmax(-1)[:-1]
    own = rows.gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
    return own, rows


def complete(client, prompt, **options):
    options.setdefault("temperature", 0)
    return client.completions.create(model="model", prompt=prompt, **options)


@pytest.mark.parametrize("text", TEXTS)
def test_prompts_are_scored_as_transformers_scores_them(client, tokenizer, model, text):
    tokens = tokenizer.encode(text, add_special_tokens=False)
    answer = complete(client, tokens, echo=True, logprobs=3, max_tokens=1)
    found = answer.choices[0].logprobs
    assert found.token_logprobs[0] is None and found.top_logprobs[0] is None
    assert len(found.token_logprobs) == len(tokens) + 1
    if len(tokens) == 1:
        return
    own, rows = scores_of(model, tokens)
    scored = torch.tensor(found.token_logprobs[1:-1], dtype=torch.float64)
    assert (scored - own).abs().max().item() < 1e-3
    best = torch.tensor([max(top.values()) for top in found.top_logprobs[1:-1]])
    assert (best - rows.max(-1).values).abs().max().item() < 1e-3


def test_a_batch_of_prompts_is_scored_in_order(client, tokenizer, model):
    batch = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS[:2]]
    answer = complete(client, batch, echo=True, logprobs=1, max_tokens=0)
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice, tokens in zip(answer.choices, batch, strict=True):
        own, _ = scores_of(model, tokens)
        assert sum(choice.logprobs.token_logprobs[1:]) == pytest.approx(own.sum().item(), abs=1e-3)
    assert answer.usage.prompt_tokens == sum(map(len, batch))
    assert answer.usage.completion_tokens == 0


def test_texts_tokens_and_lists_are_the_same_prompt(client, tokenizer):
    tokens = tokenizer.encode(TEXTS[0], add_special_tokens=False)
    whole = complete(client, TEXTS[0], max_tokens=8, extra_body={"add_special_tokens": False})
    for prompt in (tokens, [tokens], [TEXTS[0]]):
        again = complete(client, prompt, max_tokens=8, extra_body={"add_special_tokens": False})
        assert again.choices[0].text == whole.choices[0].text
    assert complete(client, TEXTS[0], echo=True, max_tokens=2).choices[0].text.startswith(TEXTS[0])


def test_offsets_point_into_the_text(client):
    choice = complete(client, TEXTS[0], echo=True, logprobs=1, max_tokens=6).choices[0]
    ends = [*choice.logprobs.text_offset[1:], len(choice.text)]
    pieces = zip(choice.logprobs.tokens, choice.logprobs.text_offset, ends, strict=True)
    for token, start, end in pieces:
        if not token.startswith(("bytes:", "<")):
            assert choice.text[start:end] == token


def test_a_stream_gives_the_whole_answer(client):
    options = {"echo": True, "logprobs": 2, "max_tokens": 12, "n": 2, "seed": 3, "temperature": 1}
    whole = complete(client, TEXTS[1], **options)
    stream = complete(
        client, TEXTS[1], stream=True, stream_options={"include_usage": True}, **options
    )
    chunks = list(stream)
    for choice in whole.choices:
        parts = [p for chunk in chunks for p in chunk.choices if p.index == choice.index]
        assert "".join(part.text for part in parts) == choice.text
        scores = [part.logprobs for part in parts if part.logprobs]
        assert sum((part.token_logprobs for part in scores), []) == choice.logprobs.token_logprobs
        assert sum((part.text_offset for part in scores), []) == choice.logprobs.text_offset
        assert parts[-1].finish_reason == choice.finish_reason
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"logprobs": 21}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 100_000}, "prompt"),
    ],
)
def test_what_cannot_be_done_is_refused(client, options, parameter):
    with pytest.raises(openai.BadRequestError) as refused:
        complete(client, "a", **options)
    assert refused.value.param == parameter


def test_a_model_that_writes_makes_no_embeddings(client):
    with pytest.raises(openai.BadRequestError, match="writes text") as refused:
        client.embeddings.create(model="model", input="a")
    assert refused.value.code == "wrong_model_kind"
