"""From rows to tokens, with the loss on answers alone: the same tokens as Pelton's own trainer and engine.

A prompt is what the chat template renders with the generation prompt behind it; the answer is encoded apart,
as generation would produce it, and ends with the first end token.
"""

import json

from tokenizers import Tokenizer

from pelton_registry import InputError

TOLD = 5
FORGERS = ("user", "tool", "function")
# Characters for private use: one that a conversation does not use marks where no token may span.
MARKS = range(0xE000, 0xF900)


class Encoder:
    def __init__(self, folder, tokenizer):
        self.template = tokenizer
        self.encoder = Tokenizer.from_file(str(folder / "tokenizer.json"))
        added = self.encoder.get_added_tokens_decoder().values()
        self.special = [token.content for token in added if token.special]
        config = json.loads((folder / "config.json").read_text())
        self.longest = config["max_position_embeddings"]
        self.vocabulary = config["vocab_size"]
        self.ends = end_tokens(folder, tokenizer)

    def encode(self, text):
        return self.encoder.encode(text, add_special_tokens=False).ids

    def render(self, messages, add_generation_prompt):
        return self.template.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )

    def example(self, messages, answer):
        """The tokens of the prompt and those of the answer."""
        messages, mark = self.guard([plain(message) for message in messages])
        prompt = self.render(messages, True)
        whole = self.render([*messages, {"role": "assistant", "content": answer}], False)
        if not whole.startswith(prompt):
            raise ValueError("the chat template does not put the answer behind the generation prompt")
        pieces = prompt.split(mark) if mark else [prompt]
        prompt_tokens = [token for piece in pieces for token in self.encode(piece)]
        ending = self.encode(whole[len(prompt) :])
        ends = [place for place, token in enumerate(ending) if token in self.ends]
        ending = ending[: ends[0] + 1] if ends else ending + self.ends[:1]
        tokens = len(prompt_tokens) + len(ending)
        if tokens > self.longest:
            raise ValueError(f"{tokens} tokens, but the base takes {self.longest}")
        if not ending:
            raise ValueError("the answer is empty")
        if max(prompt_tokens + ending) >= self.vocabulary:
            raise ValueError(f"a token is none of the base's {self.vocabulary}")
        return prompt_tokens, ending

    def guard(self, messages):
        """Breaks special tokens that users and tools spell out, so that nobody can forge a turn."""

        def forges(message):
            spelled = any(token in message["content"] for token in self.special)
            return message["role"] in FORGERS and spelled

        if not any(forges(message) for message in messages):
            return messages, None
        used = "".join(message["content"] for message in messages)
        mark = next((chr(code) for code in MARKS if chr(code) not in used), chr(MARKS[-1]))
        guarded = []
        for message in messages:
            if forges(message):
                content = message["content"]
                for token in self.special:
                    content = content.replace(token, token[0] + mark + token[1:])
                message = {**message, "content": content}
            guarded.append(message)
        return guarded, mark

    def answers(self, rows):
        """Rows of a dataset as `input_ids` and `labels`."""

        def encode(row):
            prompt, answer = self.example(row["messages"], row["answer"])
            return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}

        return all_or_faults("row", ((row["index"], row) for row in rows), encode)

    def pairs(self, lines):
        """Preference pairs, a JSON object a line, as token ids."""

        def encode(line):
            pair = json.loads(line)
            prompt = pair["prompt"] if "prompt" in pair else pair["messages"]
            if isinstance(prompt, str):
                prompt = [{"role": "user", "content": prompt}]
            chosen, rejected = answer_text(pair["chosen"]), answer_text(pair["rejected"])
            if chosen == rejected:
                raise ValueError("the chosen and the rejected answer are the same")
            prompt_ids, chosen_ids = self.example(prompt, chosen)
            _, rejected_ids = self.example(prompt, rejected)
            return {"prompt_ids": prompt_ids, "chosen_ids": chosen_ids, "rejected_ids": rejected_ids}

        numbered = ((place, line) for place, line in enumerate(lines, 1) if line.strip())
        return all_or_faults("line", numbered, encode)


def end_tokens(folder, tokenizer):
    """Ids that end a text; the tokenizer's own first."""
    ends = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        found = json.loads(path.read_text()).get("eos_token_id") if path.exists() else None
        for token in found if isinstance(found, list) else [found]:
            if token is not None and token not in ends:
                ends.append(token)
    return ends


def plain(message):
    """A message whose content is text."""
    content = message.get("content")
    if content is None:
        content = ""
    elif isinstance(content, list):
        for part in content:
            if part.get("type", "text") not in ("text", "input_text") or "text" not in part:
                raise ValueError(f"content part of type `{part.get('type')}` is not text")
        content = "".join(part["text"] for part in content)
    return {**message, "content": content}


def answer_text(answer):
    if isinstance(answer, str):
        return answer
    if len(answer) != 1:
        raise ValueError(f"an answer of {len(answer)} messages: give one")
    return plain(answer[0])["content"]


def all_or_faults(place, numbered, encode):
    """What was encoded; or one error that tells the first faults with their places."""
    encoded, faults = [], []
    for number, item in numbered:
        try:
            encoded.append(encode(item))
        except (ValueError, KeyError, TypeError) as error:
            faults.append(f"{place} {number}: {error}")
    if faults:
        more = f"; and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        message = f"{len(faults)} cannot be trained on: {'; '.join(faults[:TOLD])}{more}"
        raise InputError(message, "Correct them or leave them out, then render the job again.")
    return encoded
