"""What the gateway costs: signed Converse and ConverseStream, and OpenAI's and Anthropic's routes with an API key, whole and
streamed, with the scripted engine, beside two peers in the same run.

    python -m benchmarks.gateway [--seconds 4] [--rounds 3] [--connections 1,16,64] [--litellm PATH_TO_ITS_VENV]

Peers: (a) the bare HTTP server (granian, ASGI) answering a constant; (b) LiteLLM's proxy with its mock response.
Requests are signed once beforehand; `wrk` sends them. The server is pinned to one core and wrk to another, so a third busy
process on the machine distorts the figures. Needs: wrk; for (b) a virtual environment with `litellm[proxy]`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from rich.console import Console
from rich.table import Table

from benchmarks.servers import free_port, outcrop, process, write_results
from outcrop.identity.bearer import new_short_term_key

MODEL = "outcrop.scripted-v1:0"
SETTINGS = f"""
house_model = false
[server]
log = "json"
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "SCRIPT"
"""
SCRIPT = {"rules": [{"text": "Hello from the scripted engine."}]}


@dataclass(frozen=True)
class Target:
    name: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Measured:
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def converse_body() -> bytes:
    """About 2 KB: a system prompt, three turns, a tool."""
    paragraph = "The quick brown fox jumps over the lazy dog while seven wizards quietly mix up vexing potions. "
    return json.dumps(
        {
            "system": [{"text": paragraph * 3}],
            "messages": [
                {"role": "user", "content": [{"text": paragraph * 4}]},
                {"role": "assistant", "content": [{"text": paragraph * 3}]},
                {"role": "user", "content": [{"text": paragraph * 4}]},
            ],
            "inferenceConfig": {"maxTokens": 256, "temperature": 0.5, "topP": 0.9},
            "toolConfig": {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "get_weather",
                            "description": "Get the weather",
                            "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
                        }
                    }
                ]
            },
        }
    ).encode()


def signed(url: str, body: bytes, environment: Mapping[str, str]) -> dict[str, str]:
    request = AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "bedrock", environment["AWS_REGION"]).add_auth(request)
    return dict(request.headers.items())


def wrk(target: Target, connections: int, seconds: float) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder, "body"), Path(folder, "request.lua")
        body.write_bytes(target.body)
        lines = ['wrk.method = "POST"', f'wrk.body = io.open("{body}", "rb"):read("*a")']
        lines += [f"wrk.headers[ [==[{name}]==] ] = [==[{value}]==]" for name, value in target.headers.items()]
        lines += [
            "function done(summary, latency, requests)",
            '  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,',
            "    latency:percentile(50) / 1000, latency:percentile(99) / 1000,",
            "    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))",
            "end",
        ]
        script.write_text("\n".join(lines))
        argv = [
            *_pinned(1),
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "20s",
            "-s",
            str(script),
            target.url,
        ]
        output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT ([\d.]+) ([\d.]+) ([\d.]+) (\d+)", output)
    if found is None:
        raise SystemExit(f"wrk said:\n{output}")
    rate, p50, p99, errors = found.groups()
    return Measured(float(rate), float(p50), float(p99), int(errors))


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


@contextlib.contextmanager
def bare(folder: Path) -> Iterator[Target]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    argv = [
        *_pinned(0),
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--loop",
        "asyncio",
        "--port",
        str(port),
        "benchmarks.bare:app",
    ]
    with process(argv, url, log=folder / "bare.log"):
        yield Target("bare server", url, {"content-type": "application/json"}, converse_body())


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[list[Target]]:
    script = folder / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with outcrop(SETTINGS.replace("SCRIPT", str(script))) as running:
        if _pinned(0):
            _pin_tree(running.process.pid, 0)
        body = converse_body()
        urls = {
            name: f"{running.url}/model/{MODEL.replace(':', '%3A')}/{name}" for name in ("converse", "converse-stream")
        }
        yield [
            *(
                Target(f"Outcrop {name}", url, signed(url, body, running.environment), body)
                for name, url in urls.items()
            ),
            *_compatible(running.url, running.environment),
        ]


def _compatible(url: str, environment: Mapping[str, str]) -> Iterator[Target]:
    """OpenAI's and Anthropic's routes, with the same conversation and tool."""
    key = new_short_term_key(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        environment["AWS_REGION"],
        datetime.now(UTC),
    )
    given = json.loads(converse_body())
    turns = [{"role": turn["role"], "content": turn["content"][0]["text"]} for turn in given["messages"]]
    spec = given["toolConfig"]["tools"][0]["toolSpec"]
    schema, system = spec["inputSchema"]["json"], given["system"][0]["text"]
    function = {"name": spec["name"], "description": spec["description"], "parameters": schema}
    tool = {"name": spec["name"], "description": spec["description"], "input_schema": schema}
    openai = {
        "model": MODEL, "messages": [{"role": "system", "content": system}, *turns], "max_tokens": 256,
        "tools": [{"type": "function", "function": function}],
    }  # fmt: skip
    anthropic = {"model": MODEL, "system": system, "messages": turns, "max_tokens": 256, "tools": [tool]}
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    for name, path, body in (
        ("chat/completions", "/openai/v1/chat/completions", openai),
        ("anthropic messages", "/anthropic/v1/messages", anthropic),
    ):
        yield Target(f"Outcrop {name}", url + path, headers, json.dumps(body).encode())
        streamed = json.dumps({**body, "stream": True}).encode()
        yield Target(f"Outcrop {name}, stream", url + path, headers, streamed)


def _pin_tree(pid: int, core: int) -> None:
    """The server is up by now; pin it and what it started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], check=True, capture_output=True, text=True).stdout
    children: dict[int, list[int]] = {}
    for line in listed.splitlines()[1:]:
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        subprocess.run(["taskset", "-a", "-p", "-c", str(core), str(current)], check=False, capture_output=True)
        waiting += children.get(current, [])


@contextlib.contextmanager
def litellm(folder: Path, venv: Path) -> Iterator[Target | None]:
    executable = venv / "bin" / "litellm"
    if not executable.exists():
        print(
            f"LiteLLM is not measured: {executable} does not exist (python -m venv {venv} && {venv}/bin/pip install 'litellm[proxy]')."
        )
        yield None
        return
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": "mock",
                        "litellm_params": {
                            "model": "openai/mock",
                            "api_key": "x",
                            "mock_response": "Hello from the mock.",
                        },
                    }
                ]
            }
        )
    )
    argv = [
        *_pinned(0),
        str(executable),
        "--config",
        str(config),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--num_workers",
        "1",
    ]
    url = f"http://127.0.0.1:{port}"
    # Newer versions do not start without a key; checking one is part of Outcrop's figures too.
    key = "sk-0123456789abcdef0123456789abcdef0123456789abcdef"
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "DO_NOT_TRACK": "1",
        "LITELLM_MASTER_KEY": key,
    }
    turns = json.loads(converse_body())["messages"]
    body = json.dumps(
        {"model": "mock", "messages": [{"role": m["role"], "content": m["content"][0]["text"]} for m in turns]}
    ).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    with process(argv, f"{url}/health/liveliness", environment=environment, log=folder / "litellm.log", wait=180):
        yield Target("LiteLLM proxy, mock", f"{url}/v1/chat/completions", headers, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--litellm", type=Path, default=Path(__file__).parent / ".litellm")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("This benchmark needs wrk (apt-get install wrk).")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = [stack.enter_context(bare(folder)), *stack.enter_context(gateway(folder))]
        if (peer := stack.enter_context(litellm(folder, options.litellm))) is not None:
            targets.append(peer)
        results = measure(targets, [int(n) for n in options.connections.split(",")], options.seconds, options.rounds)
    report(results)


def measure(targets: list[Target], connections: list[int], seconds: int, rounds: int) -> list[dict[str, object]]:
    """Rounds go through all targets in turn, so that a drift of the machine's speed hits all alike."""
    results: list[dict[str, object]] = []
    for count in connections:
        runs: dict[str, list[Measured]] = {target.name: [] for target in targets}
        for target in targets:
            wrk(target, count, 1)
        for _ in range(rounds):
            for target in targets:
                runs[target.name].append(wrk(target, count, seconds))
        for name, measured in runs.items():
            middle = sorted(measured, key=lambda m: m.requests_per_second)[len(measured) // 2]
            results.append(
                {
                    "target": name,
                    "connections": count,
                    **asdict(middle),
                    "errors": sum(m.errors for m in measured),
                    "p50_ms": statistics.median(m.p50_ms for m in measured),
                    "p99_ms": statistics.median(m.p99_ms for m in measured),
                }
            )
    return results


def report(results: list[dict[str, object]]) -> None:
    rates = {(row["target"], row["connections"]): float(str(row["requests_per_second"])) for row in results}
    table = Table(title="Gateway: one worker on one core, medians")
    for column in ("target", "connections", "requests/s", "p50 ms", "p99 ms", "errors", "of bare", "x LiteLLM"):
        table.add_column(column, justify="left" if column == "target" else "right")
    for row in results:
        floor = rates.get(("bare server", row["connections"]))
        peer = rates.get(("LiteLLM proxy, mock", row["connections"]))
        rate = rates[(row["target"], row["connections"])]
        row["of_bare"] = round(rate / floor, 3) if floor else None
        row["times_litellm"] = round(rate / peer, 1) if peer else None
        table.add_row(
            str(row["target"]), str(row["connections"]), f"{rate:.0f}", f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}",
            str(row["errors"]), str(row["of_bare"]), str(row["times_litellm"]),
        )  # fmt: skip
    Console(width=120).print(table)
    print(f"Written to {write_results('gateway', results)}")


if __name__ == "__main__":
    main()
