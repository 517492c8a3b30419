"""The `openai` package, unchanged, against a running server.

PELTON_URL, PELTON_API_KEY (empty if none is asked for) and PELTON_ENDPOINT say where to.
"""

import asyncio
import json
import re
import typing
from concurrent.futures import ThreadPoolExecutor

import openai
import pydantic
import pytest

QUESTION = [{"role": "user", "content": "Which bill is due first? Say its id."}]


def connect(server, key, **options):
    return openai.OpenAI(
        base_url=f"{server}/v1", api_key=key or "not-needed", timeout=120, max_retries=0, **options
    )


@pytest.fixture(scope="module")
def client(server, key):
    with connect(server, key) as client:
        yield client


@pytest.fixture(scope="module")
def ask(client, endpoint):
    def call(**options):
        options.setdefault("messages", QUESTION)
        options.setdefault("max_tokens", 16)
        options.setdefault("temperature", 0)
        return client.chat.completions.create(model=endpoint, **options)

    return call


def test_a_whole_answer(ask):
    answer = ask()
    assert answer.object == "chat.completion"
    assert [choice.index for choice in answer.choices] == [0]
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert isinstance(choice.message.content, str)
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens > 0
    assert 0 < answer.usage.completion_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_plain_prompt_is_completed_and_scored(client, endpoint):
    def complete(**options):
        return client.completions.create(
            model=endpoint, prompt="The bill of March", max_tokens=8, temperature=0, **options
        )

    whole = complete(echo=True, logprobs=1)
    assert whole.object == "text_completion"
    choice = whole.choices[0]
    assert choice.text.startswith("The bill of March")
    assert choice.logprobs.token_logprobs[0] is None
    assert len(choice.logprobs.tokens) == whole.usage.total_tokens
    chunks = list(complete(echo=True, stream=True))
    assert "".join(part.text for chunk in chunks for part in chunk.choices) == choice.text
    assert all(chunk.usage is None for chunk in chunks)


def test_embeddings_are_refused_by_a_model_that_writes(client, endpoint):
    with pytest.raises(openai.BadRequestError, match="writes text"):
        client.embeddings.create(model=endpoint, input="a")


def test_headers_name_the_call_and_what_answered(client, endpoint):
    raw = client.chat.completions.with_raw_response.create(
        model=endpoint, messages=QUESTION, max_tokens=4
    )
    assert raw.headers["x-pelton-inference-id"].startswith("inf_")
    assert raw.headers["x-pelton-release-id"].startswith("rel_")
    assert raw.headers["x-pelton-release"]
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_two_calls_are_two_inferences(client, endpoint):
    seen = {
        client.chat.completions.with_raw_response.create(
            model=endpoint, messages=QUESTION, max_tokens=1
        ).headers["x-pelton-inference-id"]
        for _ in range(2)
    }
    assert len(seen) == 2


def test_a_stream_with_usage_gives_the_whole_answer(ask):
    whole = ask(seed=5)
    chunks = list(ask(seed=5, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].object == "chat.completion.chunk"
    text = "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    )
    assert text == whole.choices[0].message.content
    ends = [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert ends == [whole.choices[0].finish_reason]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usages) == 1
    assert usages[0].completion_tokens == whole.usage.completion_tokens
    assert usages[0].prompt_tokens == whole.usage.prompt_tokens


def test_a_stream_shows_usage_only_where_asked_for(ask):
    chunks = list(ask(stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


def test_the_stream_helper_puts_the_answer_together(client, endpoint, ask):
    with client.chat.completions.stream(
        model=endpoint, messages=QUESTION, max_tokens=16, temperature=0
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ask().choices[0].message.content


def test_a_stream_may_be_left(ask):
    stream = ask(stream=True, max_tokens=64)
    next(iter(stream))
    stream.close()
    assert ask(max_tokens=1).choices


def test_seeds_repeat(ask):
    def texts(seed):
        return ask(seed=seed, temperature=1.0).choices[0].message.content

    assert texts(7) == texts(7)


def test_log_probabilities(ask):
    answer = ask(logprobs=True, top_logprobs=2, max_tokens=3)
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens or len(content) <= 3
    for token in content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 2
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob


def test_max_tokens_ends_an_answer(ask):
    answer = ask(max_tokens=1)
    assert answer.usage.completion_tokens == 1


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_bill",
            "description": "Finds a bill",
            "parameters": {
                "type": "object",
                "properties": {"bill_id": {"enum": ["A1", "B2"]}},
                "required": ["bill_id"],
                "additionalProperties": False,
            },
        },
    }
]


def test_tools_pass_through(ask):
    message = ask(tools=TOOLS, tool_choice="auto").choices[0].message
    assert message.content is not None or message.tool_calls
    for call in message.tool_calls or []:
        assert call.function.name


def test_a_tool_is_called_where_that_is_asked_for(ask):
    for choice in ("required", {"type": "function", "function": {"name": TOOLS[0]["function"]["name"]}}):
        answer = ask(tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, max_tokens=200)
        assert answer.choices[0].finish_reason == "tool_calls"
        (call,) = answer.choices[0].message.tool_calls
        assert call.function.name == TOOLS[0]["function"]["name"]
        assert isinstance(json.loads(call.function.arguments)["bill_id"], str)


def test_a_streamed_call_comes_with_its_name_id_and_arguments(ask):
    stream = ask(
        tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_tokens=200, stream=True
    )
    choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or []]
    assert pieces[0].id and pieces[0].function.name == "find_bill"
    arguments = "".join(piece.function.arguments or "" for piece in pieces)
    assert "bill_id" in json.loads(arguments)
    assert choices[-1].finish_reason == "tool_calls"


class Bill(pydantic.BaseModel):
    bill_found: bool
    bill_id: typing.Literal["A1", "B2"]


def test_an_answer_is_parsed_into_a_model(client, endpoint):
    answer = client.chat.completions.parse(
        model=endpoint, messages=QUESTION, response_format=Bill, max_tokens=200, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Bill)


def test_answers_follow_other_formats(ask):
    text = ask(extra_body={"structured_outputs": {"regex": "[0-9]{3}-[a-c]"}}).choices[0].message.content
    assert re.fullmatch("[0-9]{3}-[a-c]", text)
    text = ask(extra_body={"guided_choice": ["yes", "no"]}).choices[0].message.content
    assert text in ("yes", "no")


def test_a_format_that_makes_no_sense_is_refused(ask):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(extra_body={"guided_regex": "["})
    assert "grammar" in str(refused.value)


def test_a_conversation_with_tool_results(ask):
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "find_bill", "arguments": json.dumps({"bill_id": "B1"})},
    }
    answer = ask(
        tools=TOOLS,
        messages=[
            *QUESTION,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"amount_due":"12.00"}'},
        ],
    )
    assert answer.choices[0].message.role == "assistant"


def test_user_metadata_and_sessions_are_taken(ask):
    answer = ask(
        user="user-1",
        metadata={"session": "s-1", "customer": "c-1"},
        extra_headers={"x-pelton-session": "s-2"},
        max_tokens=1,
    )
    assert answer.choices


def test_a_user_stays_with_a_release(client, endpoint):
    def release():
        return client.chat.completions.with_raw_response.create(
            model=endpoint, messages=QUESTION, max_tokens=1, user="user-7"
        ).headers["x-pelton-release-id"]

    assert len({release() for _ in range(4)}) == 1


def test_an_unknown_model_is_not_found(client, endpoint):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"
    assert endpoint in refused.value.message


def test_bad_requests_say_what_is_wrong(client, endpoint):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=endpoint, messages=[])
    assert refused.value.param == "messages"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=endpoint, messages=[{"content": "no role"}])
    assert "role" in refused.value.message


def test_a_body_of_100_mb_is_refused(client, endpoint):
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(
            model=endpoint, messages=[{"role": "user", "content": "x" * 100_000_000}]
        )
    assert refused.value.status_code == 413
    assert refused.value.code == "body_too_large"


def test_a_wrong_key_is_refused(server, key, endpoint):
    if not key:
        pytest.skip("the server asks for no key")
    with connect(server, "pk_wrong") as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            stranger.chat.completions.create(model=endpoint, messages=QUESTION)
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_models_are_listed(client, endpoint):
    models = {model.id: model for model in client.models.list()}
    assert models[endpoint].object == "model"
    assert client.models.retrieve(endpoint).id == endpoint
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_calls_at_once_from_threads(ask):
    expected = ask(max_tokens=8).choices[0].message.content
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(max_tokens=8), range(48)))
    assert {answer.choices[0].message.content for answer in answers} == {expected}


def test_calls_at_once_from_the_async_client(server, key, endpoint):
    async def run():
        async with openai.AsyncOpenAI(
            base_url=f"{server}/v1", api_key=key or "not-needed", max_retries=0
        ) as client:

            async def one(n):
                stream = await client.chat.completions.create(
                    model=endpoint,
                    messages=QUESTION,
                    max_tokens=8,
                    temperature=0,
                    stream=True,
                    user=f"user-{n % 4}",
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream])

            return await asyncio.gather(*(one(n) for n in range(24)))

    texts = asyncio.run(run())
    assert len(texts) == 24
    assert all(isinstance(text, str) for text in texts)
