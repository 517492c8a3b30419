"""Fetches a model's files from a running server into a folder: fetch_adapter.py URL NAME FOLDER."""

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path


def main() -> None:
    url, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    quoted = urllib.parse.quote(name, safe="")
    with urllib.request.urlopen(f"{url}/api/v1/models/{quoted}") as answer:
        model = json.load(answer)
    for file in model["files"]:
        target = folder / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = urllib.parse.quote(file["digest"], safe="")
        with urllib.request.urlopen(f"{url}/api/v1/blobs/{digest}") as answer:
            target.write_bytes(answer.read())


if __name__ == "__main__":
    main()
