"""llama.cpp on a GGUF file: speed, and the logits that it computes.

    python llama_peer.py GGUF THREADS PROMPT ANSWER SEQUENCES

Prints one JSON object. The prompts' tokens are (7919 s + 17 i² + i) mod vocabulary for token i of
sequence s, as in the engine's own benchmark.
"""

import ctypes
import json
import resource
import sys
import time

import llama_cpp
import numpy as np


class Engine:
    def __init__(self, path, threads, sequences, context, exact=False):
        llama_cpp.llama_backend_init()
        quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
        self.quiet = quiet
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context * sequences
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        if exact:
            # Keys and values are in F16 otherwise, and so are flash attention's products.
            params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(512, 0, sequences)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def decode(self, rows):
        """`rows` are (token, position, sequence, wants logits)."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for at, (token, position, sequence, wants) in enumerate(rows):
            batch.token[at] = int(token)
            batch.pos[at] = position
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = sequence
            batch.logits[at] = wants
        if llama_cpp.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")

    def logits(self, row):
        pointer = llama_cpp.llama_get_logits_ith(self.context, row)
        return np.ctypeslib.as_array(pointer, shape=(self.vocab,))


def prompt(sequence, length, vocab):
    return [(7919 * sequence + 17 * at * at + at) % vocab for at in range(length)]


def read(engine, tokens, sequence):
    for start in range(0, len(tokens), 512):
        part = tokens[start : start + 512]
        last = start + len(part) == len(tokens)
        rows = [
            (token, start + at, sequence, int(last and at + 1 == len(part)))
            for at, token in enumerate(part)
        ]
        engine.decode(rows)
    return engine.logits(len(part) - 1).copy()


def main():
    path = sys.argv[1]
    threads, length, answer, sequences = map(int, sys.argv[2:6])
    engine = Engine(path, threads, max(sequences, 1), length + answer + 16)
    read(engine, prompt(99, 16, engine.vocab), 0)

    engine.clear()
    begun = time.perf_counter()
    logits = read(engine, prompt(0, length, engine.vocab), 0)
    prefill = length / (time.perf_counter() - begun)

    token, begun = int(logits.argmax()), time.perf_counter()
    for at in range(answer):
        engine.decode([(token, length + at, 0, 1)])
        token = int(engine.logits(0).argmax())
    decode = answer / (time.perf_counter() - begun)

    engine.clear()
    begun = time.perf_counter()
    tokens = [
        int(read(engine, prompt(sequence, length, engine.vocab), sequence).argmax())
        for sequence in range(sequences)
    ]
    for at in range(answer - 1 if sequences else 0):
        engine.decode([(token, length + at, sequence, 1) for sequence, token in enumerate(tokens)])
        tokens = [int(engine.logits(row).argmax()) for row in range(sequences)]
    seconds = time.perf_counter() - begun
    together = sequences * (length + answer) / seconds if sequences else None
    print(
        json.dumps(
            {
                "prefill_tokens_per_s": prefill,
                "decode_tokens_per_s": decode,
                "together_tokens_per_s": together,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "first_logits": [float(logit) for logit in logits[:64]],
                "first_token": int(logits.argmax()),
            }
        )
    )


if __name__ == "__main__":
    main()
