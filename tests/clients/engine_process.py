"""An engine of its own, for tests that bring their own model.

PELTON_BINARY is the program.
"""

import contextlib
import json
import os
import subprocess

import openai

TOKEN = "secret-of-the-test"


@contextlib.contextmanager
def serving(folder, name="model", *options):
    """The address of an engine that serves `folder`; it ends with the block."""
    command = [os.environ["PELTON_BINARY"], "engine", "serve", "--model", str(folder)]
    command += ["--name", name, "--log-filter", "warn", *options]
    engine = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PELTON_ENGINE_TOKEN": TOKEN},
    )
    try:
        line = engine.stdout.readline()
        assert line, "the engine ended before it was ready"
        yield f"http://{json.loads(line)['addr']}"
    finally:
        engine.stdin.close()
        engine.wait(timeout=30)
        engine.stdout.close()


def connect(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=TOKEN, timeout=120, max_retries=0)
