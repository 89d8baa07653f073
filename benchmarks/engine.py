"""What Outcrop costs on top of its embedded engine: tokens/s at 1 and 8 streams, and process start to the first token.

    python -m benchmarks.engine [--rounds 5] [--streams 1,8] [--model FILE.gguf] [--random MILLIONS]

The peer is the bare engine: the same llama.cpp process with the same parameters, asked over its own HTTP interface in the same run,
turn by turn. `--random 110` measures a model of about that many million random parameters (needs the extra `train`), where decoding a
token costs what it does in a real small model; the house model is so small that the cost of sending a token weighs far more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yarl
from botocore.eventstream import EventStreamBuffer
from rich.console import Console
from rich.table import Table

from benchmarks.gateway import signed
from benchmarks.servers import Running, free_port, outcrop, process, write_results
from outcrop.engines.llamacpp.engine import default_threads
from outcrop.models.specs import house_path

MODEL = "benchmark.model-v1:0"
CONTEXT, SLOTS, MOST = 1024, 8, 200
PROMPTS = [f"Count from {start} to {start + 40}." for start in range(10, 170, 10)]


@dataclass(frozen=True)
class Target:
    """`ask` sends one prompt and gives (output tokens, seconds to the first piece of the answer)."""

    name: str
    ask: Callable[[aiohttp.ClientSession, str], Any]


def settings(path: Path) -> str:
    return f"""
house_model = false
[[models]]
id = "{MODEL}"
engine = "llamacpp"
path = "{path}"
context_tokens = {CONTEXT}
slots = {SLOTS}
"""


def of_outcrop(running: Running) -> Target:
    url = f"{running.url}/model/{MODEL.replace(':', '%3A')}/converse-stream"

    async def ask(session: aiohttp.ClientSession, prompt: str) -> tuple[int, float]:
        body = json.dumps(
            {
                "messages": [{"role": "user", "content": [{"text": prompt}]}],
                "inferenceConfig": {"temperature": 0, "maxTokens": MOST},
            }
        ).encode()
        started, first, tokens = time.perf_counter(), 0.0, 0
        async with session.post(
            yarl.URL(url, encoded=True), data=body, headers=signed(url, body, running.environment)
        ) as response:
            if response.status != 200:
                raise SystemExit(await response.text())
            frames = EventStreamBuffer()
            async for piece in response.content.iter_any():
                frames.add_data(piece)
                for frame in frames:
                    kind = frame.headers[":event-type"]
                    if kind == "contentBlockDelta" and not first:
                        first = time.perf_counter() - started
                    if kind == "metadata":
                        tokens = json.loads(frame.payload)["usage"]["outputTokens"]
        return tokens, first

    return Target("Outcrop", ask)


def of_bare(url: str) -> Target:
    async def ask(session: aiohttp.ClientSession, prompt: str) -> tuple[int, float]:
        body = {
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": MOST,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
        }
        started, first, tokens = time.perf_counter(), 0.0, 0
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            async for line in response.content:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if not first and any(choice["delta"].get("content") for choice in event["choices"]):
                    first = time.perf_counter() - started
                if event.get("usage"):
                    tokens = event["usage"]["completion_tokens"]
        return tokens, first

    return Target("bare engine", ask)


@contextlib.contextmanager
def bare(path: Path, folder: Path) -> Iterator[str]:
    """llama.cpp as Outcrop starts it, on a TCP port."""
    port, threads = free_port(), default_threads()
    given = {
        "model.path": str(path), "hostnames": ["127.0.0.1"], "port": port, "n_ctx": CONTEXT * SLOTS, "n_parallel": SLOTS,
        "cpuparams.n_threads": threads, "cpuparams_batch.n_threads": threads, "n_threads_http": 2 * SLOTS, "ui": False,
        "verbosity": 1,
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    read, write = os.pipe()
    argv = [sys.executable, "-m", "outcrop.engines.llamacpp.worker"]
    environment = {**os.environ, "OUTCROP_WORKER": json.dumps(given)}
    with (folder / "bare.log").open("wb") as log:
        # The worker ends when its standard input does.
        started = subprocess.Popen(argv, stdin=read, stdout=log, stderr=log, env=environment)
    try:
        _wait_for(f"{url}/health")
        yield url
    finally:
        os.close(write)
        os.close(read)
        started.terminate()
        started.wait()


def _wait_for(url: str) -> None:
    import urllib.request

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - loopback
            if answer.status == 200:
                return
        time.sleep(0.005)
    raise SystemExit(f"{url} did not answer.")


async def tokens_per_second(target: Target, streams: int) -> float:
    """All prompts once, `streams` at a time."""
    waiting = iter(PROMPTS * max(1, streams // 4))
    total = 0

    async def stream(session: aiohttp.ClientSession) -> None:
        nonlocal total
        for prompt in waiting:
            tokens, _ = await target.ask(session, prompt)
            total += tokens

    async with _session() as session:
        started = time.perf_counter()
        await asyncio.gather(*(stream(session) for _ in range(streams)))
        return total / (time.perf_counter() - started)


@contextlib.asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    # llama.cpp closes a connection after a stream, so both targets get a new one for each request.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        yield session


def measure(targets: Sequence[Target], streams: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for count in streams:
        runs: dict[str, list[float]] = {target.name: [] for target in targets}
        for number in range(rounds + 1):
            for target in targets:
                rate = asyncio.run(tokens_per_second(target, count))
                if number:  # the first round warms up
                    runs[target.name].append(rate)
        ours, bare_runs = runs["Outcrop"], runs["bare engine"]
        ratios = [a / b for a, b in zip(ours, bare_runs, strict=True)]
        rows.append(
            {
                "streams": count,
                "outcrop_tokens_per_second": round(statistics.median(ours), 1),
                "bare_tokens_per_second": round(statistics.median(bare_runs), 1),
                "ratio_median": round(statistics.median(ratios), 3),
                "ratio_min": round(min(ratios), 3),
                "ratio_max": round(max(ratios), 3),
            }
        )
    return rows


def start_to_first_token(path: Path, rounds: int) -> dict[str, float]:
    """Seconds from `exec` of `outcrop serve` to the first streamed piece of text, the client's signing included."""
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "settings.toml").write_text(settings(path))
            environment = {"OUTCROP_HOME": home}
            merged = {**os.environ, **environment}
            # The keys are there before: what is timed is a start, not a first start.
            exported = subprocess.run(
                [sys.executable, "-m", "outcrop", "env", "--port", "1"],
                env=merged, check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            keys = dict(line.removeprefix("export ").split("=", 1) for line in exported.splitlines() if "=" in line)
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            argv = [sys.executable, "-m", "outcrop", "serve", "--prewarm", "--port", str(port), "--log", "off"]
            began = time.perf_counter()
            with process(argv, f"{url}/health", environment=environment, log=Path(home) / "log") as running:
                target = of_outcrop(Running(url, running.process, {**merged, **keys}))

                async def first(chosen: Target = target) -> float:
                    asked = time.perf_counter()
                    async with _session() as session:
                        return asked + (await chosen.ask(session, PROMPTS[0]))[1]

                times.append(asyncio.run(first()) - began)
    return {"median": round(statistics.median(times), 3), "min": round(min(times), 3), "max": round(max(times), 3)}


def random_model(millions: int, folder: Path) -> Path:
    """A Llama of about so many random parameters with the house model's tokenizer."""
    import torch
    from tokenizers import Tokenizer

    from outcrop.training import export
    from outcrop.training.model import Decoder, ModelConfig
    from outcrop.training.recipe import ModelPart, Recipe, TrainPart

    torch.manual_seed(1)
    width = 768
    layers = max(1, round(millions * 1e6 / (12 * width * width)))
    shape = ModelConfig(2048, width, 2048, layers, 12, 12, 2048)
    recipe = Recipe(
        "random", "Random weights.", TrainPart(tokens=8192), ModelPart(2048, width, 2048, layers, 12, 12, 2048)
    )
    tokenizer = Tokenizer.from_file(str(house_path().parent / "tokenizer.json"))
    export.write(Decoder(shape), tokenizer, folder / "random", recipe)
    return folder / "random" / "random.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", default="1,8")
    parser.add_argument("--model", type=Path, default=house_path())
    parser.add_argument("--random", type=int, metavar="MILLIONS")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = random_model(options.random, folder) if options.random else options.model.resolve()
        start = start_to_first_token(path, options.rounds)
        url = stack.enter_context(bare(path, folder))
        running = stack.enter_context(outcrop(settings(path), "--prewarm"))
        rows = measure(
            [of_outcrop(running), of_bare(url)], [int(n) for n in options.streams.split(",")], options.rounds
        )
    report(path.name, rows, start)


def report(name: str, rows: list[dict[str, Any]], start: dict[str, float]) -> None:
    table = Table(
        title=f"{name}: tokens/s through Outcrop and of the bare engine, {default_threads()} thread(s), medians"
    )
    for column in ("streams", "Outcrop", "bare engine", "ratio", "ratio min-max"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            str(row["streams"]), str(row["outcrop_tokens_per_second"]), str(row["bare_tokens_per_second"]),
            f"{row['ratio_median']:.3f}", f"{row['ratio_min']:.3f}-{row['ratio_max']:.3f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(f"Process start to first token: {start['median']} s (median; {start['min']}-{start['max']})")
    results = {"model": name, "throughput": rows, "start_to_first_token_seconds": start}
    print(f"Written to {write_results('engine', results)}")


if __name__ == "__main__":
    main()
