"""Models from the Hub and from S3: the same bytes as the sources' own clients download.

PELTON_BINARY is the program. The hub is this test's own, and `huggingface_hub` says whether it is one;
S3 is moto's server, filled by boto3.
"""

import json
import os
import pathlib
import random
import subprocess

import pytest

import hub as hubs

WEIGHTS = random.Random(7).randbytes(3_000_000)
FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\n# Base\n",
    "config.json": b"{}",
    "empty.txt": b"",
    "model.safetensors": WEIGHTS,
    "1_Pooling/config.json": b'{"a": 1}',
    "names with spaces/ü+%23.json": b"[]",
    "tokenizer.json": b'{"model": {}}',
}


def pull(source, folder, *options, **environment):
    command = [os.environ["PELTON_BINARY"], "model", "pull", source, "--to", str(folder), "--yes", "--json"]
    done = subprocess.run(
        command + list(options), env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bytes_in(folder):
    files = [path for path in pathlib.Path(folder).rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("revision", [None, "feature/x", hubs.COMMIT])
def test_the_hub_gives_both_clients_the_same(tmp_path, revision):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    with hubs.Hub(FILES, revisions=("main", "feature/x"), page=3) as hub:
        theirs = huggingface_hub.snapshot_download(
            hubs.REPOSITORY,
            revision=revision,
            endpoint=hub.endpoint,
            local_dir=tmp_path / "theirs",
            cache_dir=tmp_path / "cache",
            token="hf_secret",
        )
        assert bytes_in(theirs) == FILES, "the test's hub is one"
        hub.seen.clear()
        hub.cut = 1_000_000
        address = f"hf://{hubs.REPOSITORY}" + (f"@{revision}" if revision else "")
        report = pull(address, tmp_path / "ours", HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_secret")
        assert bytes_in(tmp_path / "ours") == FILES
        assert report["source"]["commit"] == hubs.COMMIT
        assert report["license"] == "apache-2.0"
        checks = {file["path"]: file["verified_by"] for file in report["files"]}
        assert checks["model.safetensors"] == "SHA-256" and checks["config.json"] == "Git blob id"
        assert report["received_bytes"] == sum(map(len, FILES.values())), "what was cut off was continued"
        asked = [headers for server, _, _, headers in hub.seen if server == "files"]
        assert asked[1]["range"].startswith("bytes="), asked
        assert all("authorization" not in headers for headers in asked), "the token stays with the hub"
        tokens = [headers.get("authorization") for server, _, _, headers in hub.seen if server == "hub"]
        assert set(tokens) == {"Bearer hf_secret"}


def test_a_bucket_gives_both_clients_the_same(tmp_path):
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        s3 = boto3.client("s3", endpoint_url=endpoint, **keys)
        s3.create_bucket(Bucket="models")
        for path, content in FILES.items():
            s3.put_object(Bucket="models", Key=f"acme/base/{path}", Body=content)
        s3.put_object(Bucket="models", Key="acme/base/", Body=b"")  # a folder, as consoles make them
        s3.put_object(Bucket="models", Key="acme/base-2/config.json", Body=b"of another model")
        # Two parts: its ETag is no MD5.
        weights = random.Random(8).randbytes(6 << 20)
        config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
        (tmp_path / "weights").write_bytes(weights)
        s3.upload_file(str(tmp_path / "weights"), "models", "acme/base/model-2.safetensors", Config=config)
        wanted = FILES | {"model-2.safetensors": weights}
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
        report = pull("s3://models/acme/base", tmp_path / "ours", "--include", "*", **environment)
        assert bytes_in(tmp_path / "ours") == wanted
        assert report["license"] == "apache-2.0"
        checks = {file["path"]: file["verified_by"] for file in report["files"]}
        assert checks["model.safetensors"] in ("MD5", "SHA-256")
        paginator = s3.get_paginator("list_objects_v2").paginate(Bucket="models", Prefix="acme/base/")
        theirs = {item["Key"]: item["Size"] for page in paginator for item in page["Contents"]}
        assert {f"acme/base/{path}": len(content) for path, content in wanted.items()} | {"acme/base/": 0} == theirs
    finally:
        server.stop()
