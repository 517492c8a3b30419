"""llama.cpp's last logits of a GGUF model without and with a GGUF adapter.

    python llama_adapter.py MODEL.gguf ADAPTER.gguf LENGTH

Prints one JSON object. The prompt's tokens are those of llama_peer.py; attention is computed in F32.
"""

import ctypes
import json
import sys

import llama_cpp
from llama_peer import Engine, prompt, read


def main():
    model, adapter, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
    engine = Engine(model, 1, 1, length, exact=True)
    tokens = prompt(0, length, engine.vocab)
    base = read(engine, tokens, 0)
    lora = llama_cpp.llama_adapter_lora_init(engine.model, adapter.encode())
    if not lora:
        raise SystemExit(f"llama.cpp refuses {adapter}")
    adapters, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(lora), (ctypes.c_float * 1)(1.0)
    if llama_cpp.llama_set_adapters_lora(engine.context, adapters, 1, scales) != 0:
        raise SystemExit("llama.cpp does not apply the adapter")
    engine.clear()
    adapted = read(engine, tokens, 0)
    print(json.dumps({"base": base.tolist(), "adapter": adapted.tolist()}))


main()
