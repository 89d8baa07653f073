"""Goodput under overload: what still comes back in time when ten times as much is asked as can be done.

    python -m benchmarks.overload [--seconds 8] [--loads 0.5,1,2,5,10] [--patience 3]

A scripted engine works on eight requests at once, each 200 ms: forty a second. Clients come at random moments whether or
not earlier ones were answered (an open loop), one in ten vanishes after half a second, and the others wait `--patience`
seconds. Goodput is what they got in that time, of the answers that came while the load lasted. Beside it, in the same
run, the same engine behind a queue without a bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table
from yarl import URL

from benchmarks.gateway import converse_body, signed
from benchmarks.servers import outcrop, write_results

MODEL = "outcrop.scripted-v1:0"
ROOM, SECONDS_EACH = 8, 0.2
CAPACITY = ROOM / SECONDS_EACH
VANISHING = 0.1
VANISH_SECONDS = 0.5


@dataclass
class Counted:
    good: int = 0
    late: int = 0
    vanished: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    hinted: int = 0


def settings(script: Path, queue: int | None) -> str:
    bound = "" if queue is None else f"queue = {queue}\n"
    return f"""
house_model = false
[server]
log = "off"
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "{script}"
concurrency = {ROOM}
{bound}"""


async def offered(url: str, headers: Mapping[str, str], rate: float, seconds: float, patience: float) -> Counted:
    """Poisson arrivals at `rate` a second."""
    counted, choose = Counted(), random.Random(7)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        tasks, begun, due = [], time.perf_counter(), 0.0
        while due < seconds:
            await asyncio.sleep(max(0.0, begun + due - time.perf_counter()))
            limit = VANISH_SECONDS if choose.random() < VANISHING else patience
            end = begun + seconds
            tasks.append(asyncio.create_task(one(session, url, limit, counted, end, vanishes=limit != patience)))
            due += choose.expovariate(rate)
        await asyncio.gather(*tasks)
    return counted


async def one(
    session: aiohttp.ClientSession, url: str, limit: float, counted: Counted, end: float, *, vanishes: bool
) -> None:
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(limit), session.post(URL(url, encoded=True), data=converse_body()) as response:
            await response.read()
    except TimeoutError:
        counted.vanished += vanishes
        counted.late += not vanishes
        return
    except aiohttp.ClientError:
        counted.failed += 1
        return
    took = time.perf_counter() - begun
    if response.status == 200:
        counted.good += begun + took < end
        counted.latencies.append(took)
    elif response.status == 429:
        counted.refusals.append(took)
        counted.hinted += "retry-after" in response.headers
    else:
        counted.failed += 1


def measure(
    name: str, queue: int | None, loads: list[float], seconds: float, patience: float
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for load in loads:
        # A server of its own for each load: what an overloaded one still has to do would spoil the next figure.
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "script.json")
            script.write_text(json.dumps({"rules": [{"text": "Done.", "first_delay_ms": SECONDS_EACH * 1000}]}))
            with outcrop(settings(script, queue)) as running:
                url = f"{running.url}/model/{MODEL.replace(':', '%3A')}/converse"
                headers = signed(url, converse_body(), running.environment)
                counted = asyncio.run(offered(url, headers, load * CAPACITY, seconds, patience))
        rows.append({"queue": name, "load": load, "offered": load * CAPACITY, **figures(counted, seconds)})
    peak = max(float(str(row["goodput"])) for row in rows)
    for row in rows:
        row["of_peak"] = round(float(str(row["goodput"])) / peak, 3)
    return rows


def figures(counted: Counted, seconds: float) -> dict[str, object]:
    return {
        "goodput": round(counted.good / seconds, 1),
        "p50_s": round(statistics.median(counted.latencies), 3) if counted.latencies else None,
        "throttled": len(counted.refusals),
        "throttled_p99_ms": _p99(counted.refusals),
        "with_retry_after": counted.hinted,
        "late": counted.late,
        "vanished": counted.vanished,
        "failed": counted.failed,
    }


def _p99(seconds: list[float]) -> float | None:
    return round(sorted(seconds)[int(0.99 * (len(seconds) - 1))] * 1000, 1) if seconds else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--loads", default="0.5,1,2,5,10")
    parser.add_argument("--patience", type=float, default=3)
    options = parser.parse_args()
    loads = [float(load) for load in options.loads.split(",")]
    results = [
        row
        for name, queue in (("bounded (default)", None), ("without a bound", 1_000_000))
        for row in measure(name, queue, loads, options.seconds, options.patience)
    ]
    columns = list(results[0])
    table = Table(title=f"Goodput: {CAPACITY:.0f} requests/s can be done, clients wait {options.patience:g} s")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column == "queue" else "right")
    for row in results:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    Console(width=160).print(table)
    print(f"Written to {write_results('overload', results)}")


if __name__ == "__main__":
    main()
