"""Fetches what a training job learns from out of Pelton's registry, and publishes what it made.

Everything is fetched by its SHA-256 and checked against it, so that a job trains on exactly the bytes that it
was rendered for. The standard library is all that this file needs.

PELTON_URL is the server, PELTON_API_KEY a key with the scopes `read` and `write`.
"""

import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path, PurePosixPath

ATTEMPTS = 5
TIMEOUT_S = 300
PIECE = 1 << 20
LARGEST_MANIFEST = 16 << 20


class InputError(Exception):
    """What was asked for cannot be done; trying again does not help."""

    def __init__(self, message, hint):
        super().__init__(message)
        self.hint = hint


class Registry:
    """One project of one server."""

    def __init__(self, url, key):
        self.url = url.rstrip("/")
        self.key = key

    @classmethod
    def from_environment(cls):
        if not os.environ.get("PELTON_URL"):
            raise InputError("PELTON_URL is not set", "Give the address of the Pelton server.")
        return cls(os.environ["PELTON_URL"], os.environ.get("PELTON_API_KEY", ""))

    def _open(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        for attempt in range(1, ATTEMPTS + 1):
            if hasattr(body, "seek"):
                body.seek(0)
            request = urllib.request.Request(self.url + path, body, headers, method=method)
            try:
                return urllib.request.urlopen(request, timeout=TIMEOUT_S)
            except urllib.error.HTTPError as error:
                said = error.read(1 << 16).decode("utf-8", "replace")
                if error.code < 500 and error.code != 429:
                    hint = "Check the key's scopes and that what the job names still exists."
                    message = f"{method} {path} was refused with {error.code}: {said}"
                    raise InputError(message, hint) from None
                problem = f"{error.code}: {said}"
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                problem = str(error)
            if attempt == ATTEMPTS:
                raise ConnectionError(f"{method} {self.url}{path} failed: {problem}")
            time.sleep(2**attempt)
        raise AssertionError("unreachable")

    def get(self, path):
        with self._open("GET", path) as answer:
            return json.load(answer)

    def post(self, path, body):
        headers = {"Content-Type": "application/json"}
        with self._open("POST", path, json.dumps(body).encode(), headers) as answer:
            return json.load(answer)

    def download(self, digest, target):
        """Writes a blob to `target`; refuses bytes that are not those of `digest`."""
        path = f"/api/v1/blobs/{urllib.parse.quote(digest, safe='')}"
        for attempt in range(1, ATTEMPTS + 1):
            found = hashlib.sha256()
            try:
                with self._open("GET", path) as answer, open(target, "wb") as file:
                    while piece := answer.read(PIECE):
                        found.update(piece)
                        file.write(piece)
            except (OSError, http.client.HTTPException) as error:
                if attempt == ATTEMPTS:
                    raise
                print(json.dumps({"log": {"level": "warn", "message": str(error)}}), flush=True)
                continue
            if f"sha256:{found.hexdigest()}" == digest:
                return
        message = f"the server sent other bytes for {digest}, {ATTEMPTS} times"
        raise InputError(message, "Verify the server's artifacts; something between may change answers.")

    def fetch(self, manifest_digest, folder, paths=None):
        """Fetches the files of a manifest (all, or `paths`) into `folder`, which gets its name last."""
        if folder.exists():
            return folder
        partial = folder.with_name(folder.name + ".part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        at = partial / "manifest"
        self.download(manifest_digest, at)
        if at.stat().st_size > LARGEST_MANIFEST:
            raise InputError(f"{manifest_digest} is too large for a manifest", "Render the job again.")
        manifest = json.loads(at.read_bytes())
        at.unlink()
        for file in manifest["files"]:
            if paths is not None and file["path"] not in paths:
                continue
            path = PurePosixPath(file["path"])
            if path.is_absolute() or ".." in path.parts:
                raise InputError(f"`{path}` leads out of its folder", "Do not use this model or dataset.")
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            self.download(file["digest"], target)
        partial.rename(folder)
        return folder

    def upload(self, path):
        """Stores a file and answers its digest."""
        headers = {"Content-Type": "application/octet-stream"}
        headers["Content-Length"] = str(path.stat().st_size)
        with open(path, "rb") as file, self._open("PUT", "/api/v1/blobs", file, headers) as answer:
            return json.load(answer)["digest"]

    def published_by(self, name, run):
        """The version of `name` that an earlier attempt of this run published, if it did."""
        cursor = ""
        while True:
            page = self.get(f"/api/v1/models?limit=200{cursor}")
            for model in page["items"]:
                if model["name"] == name and (model["lineage"] or {}).get("run") == run:
                    return model
            if not page.get("next_cursor"):
                return None
            cursor = f"&cursor={urllib.parse.quote(page['next_cursor'], safe='')}"

    def publish(self, folder, model):
        """Registers the files of `folder` as the next version of a model, once for each run."""
        if made := self.published_by(model["name"], model["lineage"]["run"]):
            return made
        files = [
            {"path": str(path.relative_to(folder)), "digest": self.upload(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        return self.post("/api/v1/models", {**model, "files": files})


def read_rows(path):
    """The rows of one split of a dataset version."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def prepare_folder(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
