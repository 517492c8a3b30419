"""Where the server under test is: told by the environment, so that the tests start nothing."""

import os

import pytest


@pytest.fixture(scope="session")
def server():
    url = os.environ.get("PELTON_URL")
    if not url:
        pytest.fail("set PELTON_URL to a running server, such as http://127.0.0.1:7117")
    return url.rstrip("/")


@pytest.fixture(scope="session")
def key():
    """The API key; empty where the server asks for none."""
    return os.environ.get("PELTON_API_KEY", "")


@pytest.fixture(scope="session")
def endpoint():
    return os.environ.get("PELTON_ENDPOINT", "telco")
