"""A hub that speaks the routes of the Hugging Face Hub which downloads need.

`test_sources.py` proves with `huggingface_hub` that it is one, and then downloads from it with Pelton.
Large files come from a second server, by a redirect, as they do from the real hub.
"""

import hashlib
import http.server
import json
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "acme/base"


class Hub:
    """Serves `files`, path and bytes, at `revisions`; those of `large` bytes and more lie in Git LFS."""

    def __init__(self, files, revisions=("main",), large=1_000, page=1_000, cut=None):
        self.files, self.revisions, self.large, self.page = dict(files), revisions, large, page
        self.cut = cut  # after so many bytes, the file server breaks its first answer off
        self.seen = []  # (server, method, path, headers with names in lower case)
        self.servers = []
        for serve in (self.answer, self.answer_blob):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(serve))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)
        self.endpoint, self.file_server = (f"http://127.0.0.1:{s.server_address[1]}" for s in self.servers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def note(self, server, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((server, request.command, request.path, headers))

    def blob_id(self, content):
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, path):
        content = self.files[path]
        entry = {"type": "file", "path": path, "size": len(content), "oid": self.blob_id(content)}
        if len(content) >= self.large:
            sha256 = hashlib.sha256(content).hexdigest()
            entry["oid"] = self.blob_id(f"version https://git-lfs.github.com/spec/v1\noid {sha256}".encode())
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        return entry

    def answer(self, request):
        self.note("hub", request)
        url = urllib.parse.urlsplit(request.path)
        parts = [urllib.parse.unquote(part) for part in url.path.split("/")[1:]]
        query = dict(urllib.parse.parse_qsl(url.query))
        match parts:
            case ["api", "models", org, name, "revision", revision]:
                if refused := self.refuse(f"{org}/{name}", revision):
                    return request.refuse(*refused)
                siblings = [{"rfilename": path} for path in self.files]
                info = {"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "private": False, "gated": False}
                info |= {"tags": [], "downloads": 0, "siblings": siblings, "cardData": {"license": "apache-2.0"}}
                return request.json(info)
            case ["api", "models", org, name, "tree", revision]:
                if refused := self.refuse(f"{org}/{name}", revision):
                    return request.refuse(*refused)
                start = int(query.get("cursor", 0))
                paths = sorted(self.files)
                headers = {}
                if start + self.page < len(paths):
                    query["cursor"] = start + self.page
                    following = f"{self.endpoint}{url.path}?{urllib.parse.urlencode(query)}"
                    headers["Link"] = f'<{following}>; rel="next"'
                return request.json([self.entry(path) for path in paths[start : start + self.page]], headers)
            case [org, name, "resolve", revision, *path]:
                if refused := self.refuse(f"{org}/{name}", revision):
                    return request.refuse(*refused)
                path = "/".join(path)
                if path not in self.files:
                    return request.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": COMMIT})
                return self.resolve(request, path)
        request.refuse(404, "RepoNotFound", "Repository not found")

    def refuse(self, repository, revision):
        if repository != REPOSITORY:
            return 404, "RepoNotFound", "Repository not found"
        if revision != COMMIT and revision not in self.revisions:
            return 404, "RevisionNotFound", "Invalid rev id"
        return None

    def resolve(self, request, path):
        entry, content = self.entry(path), self.files[path]
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if "lfs" not in entry:
            return request.content(content, headers | {"ETag": f'"{entry["oid"]}"'})
        sha256 = entry["lfs"]["oid"]
        headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        request.empty(302, headers | {"Location": f"{self.file_server}/{sha256}?signature=x"})

    def answer_blob(self, request):
        self.note("files", request)
        wanted = request.path[1:].split("?")[0]
        for content in self.files.values():
            if hashlib.sha256(content).hexdigest() == wanted:
                cut, self.cut = self.cut, None
                return request.content(content, {"Accept-Ranges": "bytes", "ETag": '"of-the-file-server"'}, cut)
        request.empty(404, {})


def handler(serve):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            serve(self)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

        def empty(self, status, headers):
            self.send_response(status)
            for name, value in (headers | {"Content-Length": "0"}).items():
                self.send_header(name, value)
            self.end_headers()

        def json(self, value, headers={}):
            self.content(json.dumps(value).encode(), headers | {"Content-Type": "application/json"})

        def refuse(self, status, code, message, headers={}):
            self.empty(status, headers | {"X-Error-Code": code, "X-Error-Message": message})

        def content(self, content, headers, cut=None):
            asked = self.headers.get("Range", "")
            whole, start, end = len(content), 0, len(content)
            if asked.startswith("bytes="):
                first, last = asked[6:].split("-")
                start, end = int(first), int(last) + 1 if last else whole
                headers = headers | {"Content-Range": f"bytes {start}-{end - 1}/{whole}"}
            self.send_response(206 if asked else 200)
            for name, value in (headers | {"Content-Length": str(end - start)}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if cut is not None:
                end = min(end, start + cut)
                self.close_connection = True
            self.wfile.write(content[start:end])

    return Handler
