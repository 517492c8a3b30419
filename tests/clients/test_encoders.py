"""Embedding and reranking models made by `transformers`: the same vectors and scores in Pelton.

PELTON_BINARY is the program. The models are small, their weights random; nothing is downloaded.
"""

import json
import string
import urllib.error
import urllib.request

import openai
import pytest
import torch
from engine_process import TOKEN, connect, serving
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
TEXTS = [
    "Which bill is due first?",
    "no",
    "The network has been down since Monday, and nobody told me why that is so.",
    "word " * 60,
]
QUERY = "who pays the bill"
DOCUMENTS = ["The customer pays.", "Rain is likely", "pay " * 80, "", "a bill is to be paid in March"]


def wordpiece():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "bill", "##ing", "the", "net", "##work"]
    letters = string.ascii_lowercase + string.digits
    words += [*letters, *(f"##{letter}" for letter in letters), *string.punctuation]
    own = Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    own.normalizer = normalizers.BertNormalizer(lowercase=True)
    own.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    own.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def unigram():
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -5.0) for word in ("the", "bill", "pay", "is", "who")]
    pieces += [("▁", -4.0)]
    pieces += [(letter, -6.0) for letter in string.ascii_letters + string.digits + ".,?!"]
    own = Tokenizer(models.Unigram(pieces, unk_id=3))
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    own.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


def byte_level():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: n for n, letter in enumerate(alphabet, 1)}
    own = Tokenizer(models.BPE(vocabulary, []))
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


BERT = {"vocab_size": 160, "max_position_embeddings": 100}
ROBERTA = {
    "vocab_size": 100, "max_position_embeddings": 102, "type_vocab_size": 1,
    "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
}
FAMILIES = {
    "bert": (BertConfig(**SHAPE, **BERT), wordpiece),
    "roberta": (RobertaConfig(**SHAPE, **ROBERTA), unigram),
    "xlm-roberta": (XLMRobertaConfig(**SHAPE, **ROBERTA), unigram),
    "qwen3": (
        Qwen3Config(
            **SHAPE, vocab_size=260, head_dim=24, num_key_value_heads=2,
            max_position_embeddings=400, eos_token_id=0, tie_word_embeddings=True,
        ),
        byte_level,
    ),
}


def randomized(model):
    """No weight is where it starts, so that each of them matters."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(0.0, 0.15)
            if "norm" in name.lower() and name.endswith("weight"):
                weight.add_(1.0)
    return model.eval()


def save(model, tokenizer, folder, pooling=None, normalizes=True, longest=None):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if pooling is None:
        return
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds[: 3 if normalizes else 2])
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({pooling: True}))
    if longest:
        limits = {"max_seq_length": longest, "do_lower_case": False}
        (folder / "sentence_bert_config.json").write_text(json.dumps(limits))


def expected_vectors(model, tokenizer, texts, pooling, normalizes, longest):
    vectors = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0]
        vector = {
            "pooling_mode_cls_token": states[0],
            "pooling_mode_mean_tokens": states.mean(0),
            "pooling_mode_max_tokens": states.max(0).values,
            "pooling_mode_lasttoken": states[-1],
        }[pooling]
        vectors.append(torch.nn.functional.normalize(vector, dim=0) if normalizes else vector)
    return torch.stack(vectors)


CASES = [
    ("bert", "pooling_mode_mean_tokens", True),
    ("bert", "pooling_mode_cls_token", False),
    ("bert", "pooling_mode_max_tokens", False),
    ("roberta", "pooling_mode_mean_tokens", False),
    ("xlm-roberta", "pooling_mode_cls_token", True),
    ("xlm-roberta", "pooling_mode_mean_tokens", True),
    ("qwen3", "pooling_mode_lasttoken", True),
    ("qwen3", "pooling_mode_mean_tokens", False),
]


@pytest.mark.parametrize(("family", "pooling", "normalizes"), CASES)
def test_vectors_are_those_of_transformers(tmp_path, family, pooling, normalizes):
    torch.manual_seed(3)
    config, make_tokenizer = FAMILIES[family]
    model, tokenizer = randomized(AutoModel.from_config(config)), make_tokenizer()
    save(model, tokenizer, tmp_path, pooling, normalizes, longest=64)
    expected = expected_vectors(model, tokenizer, TEXTS, pooling, normalizes, 64)
    assert expected.std(0).mean().item() > 0.01
    with serving(tmp_path) as url, connect(url) as client:
        # The package asks for base64 and decodes it.
        cut = {"truncate_prompt_tokens": -1}
        answer = client.embeddings.create(model="model", input=TEXTS, extra_body=cut)
        found = torch.tensor([entry.embedding for entry in answer.data])
        assert [entry.index for entry in answer.data] == [0, 1, 2, 3]
        difference = (found - expected).abs().max().item()
        assert difference <= 1e-4 * expected.abs().max().item()
        lengths = [
            len(tokenizer(text, truncation=True, max_length=64)["input_ids"]) for text in TEXTS
        ]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(lengths)

        plain = client.embeddings.create(model="model", input=TEXTS[0], encoding_format="float")
        assert torch.equal(torch.tensor(plain.data[0].embedding), found[0])
        tokens = tokenizer(TEXTS[0])["input_ids"]
        for given in (tokens, [tokens]):
            again = client.embeddings.create(model="model", input=given)
            assert torch.equal(torch.tensor(again.data[0].embedding), found[0])
        short = client.embeddings.create(model="model", input=TEXTS[0], dimensions=16)
        cut_down = torch.nn.functional.normalize(expected[0][:16], dim=0)
        assert (torch.tensor(short.data[0].embedding) - cut_down).abs().max().item() <= 1e-4

        with pytest.raises(openai.BadRequestError, match="at most 64") as refused:
            client.embeddings.create(model="model", input=TEXTS[3] * 2)
        assert refused.value.code == "context_length_exceeded"
        for dimensions in (0, 65):
            with pytest.raises(openai.BadRequestError, match="between 1 and 64"):
                client.embeddings.create(model="model", input="a", dimensions=dimensions)
        with pytest.raises(openai.BadRequestError, match="makes embeddings") as refused:
            client.chat.completions.create(
                model="model", messages=[{"role": "user", "content": "a"}]
            )
        assert refused.value.code == "wrong_model_kind"
        assert client.models.list().data[0].id == "model"


def post(address, **body):
    """The status of an answer, and its JSON."""
    request = urllib.request.Request(
        address,
        data=json.dumps({"model": "model", **body}).encode(),
        headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("raw", [False, True])
def test_scores_are_those_of_transformers(tmp_path, family, raw):
    torch.manual_seed(4)
    config, make_tokenizer = FAMILIES[family]
    config = type(config)(**{**config.to_dict(), "id2label": {0: "LABEL_0"}, "label2id": None})
    model = randomized(AutoModelForSequenceClassification.from_config(config))
    tokenizer = make_tokenizer()
    save(model, tokenizer, tmp_path)
    if raw:
        path = tmp_path / "config.json"
        own = json.loads(path.read_text())
        own["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity"}
        path.write_text(json.dumps(own))
    expected = []
    for document in DOCUMENTS:
        # As a list of pairs: given apart, an empty second text would count as none.
        inputs = tokenizer(
            [(QUERY, document)], return_tensors="pt", truncation="longest_first", max_length=100
        )
        with torch.no_grad():
            logit = model(**inputs).logits[0, 0]
        expected.append((logit if raw else logit.sigmoid()).item())
    assert max(expected) - min(expected) > 0.01
    order = sorted(range(len(DOCUMENTS)), key=lambda n: -expected[n])
    with serving(tmp_path) as url:
        route = f"{url}/v1/rerank"
        status, answer = post(route, query=QUERY, documents=DOCUMENTS)
        assert status == 200, answer
        assert [result["index"] for result in answer["results"]] == order
        for result in answer["results"]:
            assert result["relevance_score"] == pytest.approx(expected[result["index"]], abs=1e-4)
            assert result["document"]["text"] == DOCUMENTS[result["index"]]
        assert answer["usage"]["total_tokens"] > 0
        objects = [{"text": text} for text in DOCUMENTS]
        _, some = post(route, query=QUERY, documents=objects, top_n=2, return_documents=False)
        assert [result["index"] for result in some["results"]] == order[:2]
        assert all("document" not in result for result in some["results"])
        for wrong in ({"documents": []}, {"documents": ["a"], "top_n": 0}):
            assert post(route, query=QUERY, **wrong)[0] == 400
        assert post(route, query=QUERY, documents=["a"], model="nobody")[0] == 404
        status, refused = post(f"{url}/v1/embeddings", input="a")
        assert (status, refused["error"]["code"]) == (400, "wrong_model_kind")
