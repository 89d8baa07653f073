"""`network = "none"`: what would leave this machine is refused at start, and nothing does leave it."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from outcrop.engines.loopback import is_loopback
from outcrop.models.catalogue import check_settings
from outcrop.settings import ChoiceSpec, ModelSpec, Settings, SettingsError
from tests.conformance.loopback import answering
from tests.engines.upstream.server import Upstream, metadata, stop, text
from tests.live import Server, clean_environment, serve

# Python tells an audit hook of every connection and every name that is looked up; processes that the server starts have it too.
RECORDER = """
import os, sys

def _record(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        told = arguments[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        told = (arguments[0], 0)
    else:
        return
    host = told[0] if isinstance(told, tuple) else "unix"
    handle = os.open(os.environ["RECORDED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (event + " " + str(host) + chr(10)).encode())
    os.close(handle)

sys.addaudithook(_record)
"""


@pytest.mark.parametrize(
    ("url", "mine"),
    [
        ("http://127.0.0.1:8000/v1", True), ("http://localhost:1", True), ("http://[::1]:1", True), ("127.0.0.1", True),
        ("http://127.8.9.1", True), ("https://api.openai.com", False), ("http://10.0.0.1", False), ("http://0.0.0.0", False),
        ("http://127.0.0.1.example.com", False), ("http://localhost.example.com", False), ("http://user@127.0.0.1", True),
        ("http://127.0.0.1@example.com", False), ("", False), ("http://[::1", False),
    ],
)  # fmt: skip
def test_what_is_this_machine(url: str, mine: bool) -> None:
    assert is_loopback(url) is mine


def several(*engines: ChoiceSpec) -> ModelSpec:
    return ModelSpec(id="a.b", engines=engines)


REMOTE = [
    ModelSpec(id="a.b", engine="bedrock", region="us-east-1"),
    ModelSpec(id="a.b", engine="anthropic", api_key_env="KEY"),
    ModelSpec(id="a.b", engine="openai", api_key_env="KEY"),
    ModelSpec(id="a.b", engine="openai", url="http://gpu-box:8000/v1"),
    ModelSpec(id="a.b", engine="vllm", path="/m", environment={"HF_HUB_OFFLINE": "0"}),
    several(ChoiceSpec(engine="scripted"), ChoiceSpec(engine="bedrock", fallback=True)),
]
LOCAL = [
    ModelSpec(id="a.b", engine="bedrock", url="http://127.0.0.1:8484"),
    ModelSpec(id="a.b", engine="openai", url="http://localhost:8000/v1"),
    ModelSpec(id="a.b", engine="vllm", path="/m"),
    ModelSpec(id="a.b", engine="scripted"),
    several(ChoiceSpec(engine="anthropic", url="http://[::1]:1"), ChoiceSpec(engine="scripted")),
]


@pytest.mark.parametrize("spec", REMOTE, ids=lambda spec: spec.engine)
def test_engines_elsewhere_are_refused_with_a_sentence(spec: ModelSpec) -> None:
    check_settings(Settings(models=(spec,)))
    with pytest.raises(SettingsError, match=r'network is "none", and a\.b.* would leave this machine'):
        check_settings(Settings(models=(spec,), network="none"))


@pytest.mark.parametrize("spec", LOCAL, ids=lambda spec: spec.engine)
def test_engines_here_are_not(spec: ModelSpec) -> None:
    check_settings(Settings(models=(spec,), network="none"))


def run(home: Path, *arguments: str, settings: str, **more: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    (home / "settings.toml").write_text(settings)
    return subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments], env={**clean_environment(home), **more},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_server_does_not_start_with_one(tmp_path: Path) -> None:
    remote = 'network = "none"\n[[models]]\nid = "a.b"\nengine = "openai"\nurl = "http://gpu-box/v1"\n'
    done = run(tmp_path / "home", "serve", "--port", "0", settings=remote)
    assert done.returncode == 1
    assert "a.b (openai) would leave this machine" in done.stderr


def test_nothing_is_pulled_from_a_hub(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "pull", "org/name", settings='network = "none"\n')
    assert done.returncode == 1
    assert 'network is "none" in the settings, and https://huggingface.co is not on this machine' in done.stderr
    # One that is on this machine may be asked; here nobody answers.
    done = run(tmp_path / "home", "pull", "org/name", settings='network = "none"\n', HF_ENDPOINT="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be asked" in done.stderr


@pytest.fixture
def recorder(tmp_path: Path) -> dict[str, str]:
    """Variables that make every Python process write down whom it speaks to."""
    folder = tmp_path / "recorder"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(RECORDER)
    return {"PYTHONPATH": str(folder), "RECORDED": str(tmp_path / "recorded")}


def recorded(recorder: dict[str, str]) -> set[tuple[str, str]]:
    path = Path(recorder["RECORDED"])
    lines = path.read_text().splitlines() if path.exists() else []
    return {(event, host) for event, _, host in (line.partition(" ") for line in lines)}


def stays(host: str) -> bool:
    if host in ("unix", "localhost", "None"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def test_the_recorder_sees_what_leaves(tmp_path: Path, recorder: dict[str, str]) -> None:
    """192.0.2.0/24 is nobody's."""
    leaving = "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('192.0.2.1', 80))"
    subprocess.run([sys.executable, "-c", leaving], env={**clean_environment(tmp_path), **recorder}, check=True)
    assert recorded(recorder) == {("socket.connect", "192.0.2.1")}
    assert not stays("192.0.2.1")
    assert not stays("example.com")


def settings(upstream: Upstream) -> str:
    models = [
        {"id": "test.here-v1:0", "engine": "scripted"},
        {"id": "test.bedrock-v1:0", "engine": "bedrock", "url": upstream.url, "region": "us-east-1"},
    ]
    toml = ['network = "none"']
    for model in models:
        toml += ["[[models]]", *(f"{name} = {json.dumps(value)}" for name, value in model.items())]
    toml += ["[[models]]", 'id = "test.several-v1:0"']
    for engine, more in (("openai", 'url = "http://127.0.0.1:9/v1"'), ("scripted", "fallback = true")):
        toml += ["[[models.engines]]", f'engine = "{engine}"', more]
    return "\n".join(toml)


def ask(server: Server, model: str) -> str:
    client = boto3.client(
        "bedrock-runtime", endpoint_url=server.url, region_name="us-east-1",
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"], config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    messages: Any = [{"role": "user", "content": [{"text": "Hello"}]}]
    answer = client.converse(modelId=model, messages=messages, inferenceConfig={"maxTokens": 5})
    return str(answer["stopReason"])


def test_no_socket_leaves_loopback(tmp_path: Path, recorder: dict[str, str]) -> None:
    """Every kind of engine answers; one has no credentials, and asks no metadata service for some."""
    upstream = Upstream()
    upstream.streams(text("Hi"), stop(), metadata(inputTokens=1, outputTokens=1))
    with answering(upstream) as upstream.url:
        keys = {"AWS_ACCESS_KEY_ID": "AKIAOPERATOR", "AWS_SECRET_ACCESS_KEY": "x"}
        with serve(tmp_path / "a", settings=settings(upstream), more={**recorder, **keys}) as server:
            for model in ("outcrop.house-nano-v1:0", "test.here-v1:0", "test.bedrock-v1:0", "test.several-v1:0"):
                assert ask(server, model) in ("end_turn", "max_tokens")
        refused = pytest.raises(ClientError, match="no working credentials for its upstream")
        with serve(tmp_path / "b", settings=settings(upstream), more=recorder) as server, refused:
            ask(server, "test.bedrock-v1:0")
    told = recorded(recorder)
    assert {("socket.connect", "127.0.0.1"), ("socket.connect", "unix")} <= told
    assert [(event, host) for event, host in told if not stays(host)] == []
