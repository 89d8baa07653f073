"""Fairness: one account asks for a hundred times its quota; how long does another, which keeps to its own, wait?

    python -m benchmarks.fairness [--seconds 8] [--rounds 3]

A scripted engine works on eight requests at once, each 100 ms. The modest account sends ten requests a second; the greedy
one's quota is ten a second and it sends a thousand. In each round the modest account is measured alone and then beside the
greedy one; p99 of its latency is compared. Without quotas, in a third run, only the turns that accounts take protect it:
there the greedy one keeps 64 requests waiting at all times.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table
from yarl import URL

from benchmarks.gateway import signed
from benchmarks.servers import Running, outcrop, write_results

MODEL = "outcrop.scripted-v1:0"
ROOM, SECONDS_EACH = 8, 0.1
QUOTA, MODEST, GREEDY = 600, 10.0, 1000.0
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}).encode()


def settings(script: Path, *, quotas: bool) -> str:
    rule = f"[[quotas]]\nrequests_per_minute = {QUOTA}\n" if quotas else ""
    return f"""
house_model = false
[server]
log = "off"
[audit]
enabled = false
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "{script}"
concurrency = {ROOM}
queue = 64
{rule}"""


def second_account(running: Running) -> Mapping[str, str]:
    """Variables of an administrator in an account of its own."""
    argv = [sys.executable, "-m", "outcrop", "accounts", "create", "--json"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env={**os.environ, **running.environment})
    made = json.loads(done.stdout)
    key = made[0] if isinstance(made, list) else made
    return {
        **running.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


async def modest(session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], seconds: float) -> list[float]:
    """Latencies at a steady pace; one that is turned away counts as infinitely late."""
    choose, latencies, tasks = random.Random(3), list[float](), []

    async def one() -> None:
        begun = time.perf_counter()
        async with session.post(url, data=BODY, headers=headers) as response:
            await response.read()
            latencies.append(time.perf_counter() - begun if response.status == 200 else float("inf"))

    begun, due = time.perf_counter(), 0.0
    while due < seconds:
        await asyncio.sleep(max(0.0, begun + due - time.perf_counter()))
        tasks.append(asyncio.create_task(one()))
        due += choose.uniform(0.5, 1.5) / MODEST
    await asyncio.gather(*tasks)
    return latencies


def greedy(url: str, headers: Mapping[str, str], quotas: bool) -> None:
    """A process of its own, until it is ended: its work must not delay the other's clock."""
    with contextlib.suppress(KeyboardInterrupt, aiohttp.ClientError):
        asyncio.run(_greedy(URL(url, encoded=True), headers, quotas=quotas))


async def _greedy(url: URL, headers: Mapping[str, str], *, quotas: bool) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            async with session.post(url, data=BODY, headers=headers) as response:
                await response.read()

        async def again() -> None:
            while True:
                await one()

        if not quotas:
            await asyncio.gather(*(again() for _ in range(ROOM + 64)))
        tasks = set[asyncio.Task[None]]()
        while True:
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(1 / GREEDY)


def p99(url: str, own: Mapping[str, str], other: Mapping[str, str] | None, seconds: float, *, quotas: bool) -> float:
    beside = None
    if other is not None:
        beside = multiprocessing.get_context("spawn").Process(target=greedy, args=(url, dict(other), quotas))
        beside.start()
        time.sleep(2)
    try:
        latencies = sorted(asyncio.run(_modest(URL(url, encoded=True), own, seconds)))
    finally:
        if beside is not None:
            beside.terminate()
            beside.join()
    return latencies[int(0.99 * (len(latencies) - 1))]


async def _modest(url: URL, headers: Mapping[str, str], seconds: float) -> list[float]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return await modest(session, url, headers, seconds)


def measure(seconds: float, rounds: int, *, quotas: bool) -> dict[str, object]:
    alone, beside = list[float](), list[float]()
    for _ in range(rounds):
        for found, crowded in ((alone, False), (beside, True)):
            with tempfile.TemporaryDirectory() as folder:
                script = Path(folder, "script.json")
                script.write_text(json.dumps({"rules": [{"text": "Done.", "first_delay_ms": SECONDS_EACH * 1000}]}))
                with outcrop(settings(script, quotas=quotas)) as running:
                    url = f"{running.url}/model/{MODEL.replace(':', '%3A')}/converse"
                    own = signed(url, BODY, second_account(running))
                    other = signed(url, BODY, running.environment) if crowded else None
                    found.append(p99(url, own, other, seconds, quotas=quotas))
    return {
        "protection": "quotas and turns" if quotas else "turns only",
        "p99_alone_ms": round(statistics.median(alone) * 1000, 1),
        "p99_beside_ms": round(statistics.median(beside) * 1000, 1),
        "ratio": round(statistics.median(b / a for a, b in zip(alone, beside, strict=True)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    results = [measure(options.seconds, options.rounds, quotas=quotas) for quotas in (True, False)]
    table = Table(title="p99 of an account that keeps to its quota, beside one at a hundred times its own")
    for column in results[0]:
        table.add_column(column.replace("_", " "), justify="left" if column == "protection" else "right")
    for row in results:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    print(f"Written to {write_results('fairness', results)}")


if __name__ == "__main__":
    main()
