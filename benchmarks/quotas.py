"""Quotas of several servers on one PostgreSQL: how close does what they let through come to what they should?

    python -m benchmarks.quotas --store postgresql://... [--servers 2] [--minutes 2] [--limit 1200]

Clients ask each server for twice the whole quota, evenly, for so many minutes after the first, in which the quota fills up.
Printed is the most and the least that was let through in any sixty seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import aiohttp
from rich.console import Console
from yarl import URL

from benchmarks.fairness import BODY, MODEL
from benchmarks.gateway import signed
from benchmarks.servers import outcrop, write_results

SETTINGS = """
house_model = false
[server]
log = "off"
[audit]
enabled = false
[store]
url = "{store}"
[[models]]
id = "{model}"
engine = "scripted"
[[quotas]]
requests_per_minute = {limit}
"""


async def asked(url: str, environment: Mapping[str, str], rate: float, seconds: float) -> list[float]:
    """When requests at that rate were let through."""
    headers = signed(url, BODY, environment)
    times, tasks = list[float](), set[asyncio.Task[None]]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def one() -> None:
            async with session.post(URL(url, encoded=True), data=BODY, headers=headers) as response:
                await response.read()
                if response.status == 200:
                    times.append(time.monotonic())

        begun, number = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        await asyncio.gather(*tasks)
    return times


def windows(times: list[float], begun: float, ended: float) -> list[int]:
    """What was let through in sixty seconds, of windows that end a quarter of a second apart."""
    ends = (begun + 60 + quarter / 4 for quarter in range(int((ended - begun - 60) * 4)))
    return [sum(end - 60 < at <= end for at in times) for end in ends]


async def measure(urls: list[str], environment: Mapping[str, str], limit: int, seconds: float) -> list[int]:
    rate = 2 * limit / 60
    begun = time.monotonic()
    found = await asyncio.gather(*(asked(url, environment, rate, seconds) for url in urls))
    return windows(sorted(at for times in found for at in times), begun, begun + seconds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--store", required=True)
    options.add_argument("--servers", type=int, default=2)
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument("--limit", type=int, default=1200)
    given = options.parse_args()
    text = SETTINGS.format(store=given.store, model=MODEL, limit=given.limit)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(outcrop(text))]
        key = Path(running[0].environment["OUTCROP_HOME"], "key").read_bytes()
        running += [stack.enter_context(outcrop(text, key=key)) for _ in range(given.servers - 1)]
        urls = [f"{server.url}/model/{quote(MODEL)}/converse" for server in running]
        found = asyncio.run(measure(urls, running[0].environment, given.limit, 60 + 60 * given.minutes))
    most, least = max(found), min(found)
    result = {"servers": given.servers, "limit": given.limit, "most": most, "least": least}
    write_results("quotas", result)
    Console().print(
        f"{given.servers} servers, {given.limit} requests a minute: {least} to {most} were let through in any minute "
        f"({100 * (least / given.limit - 1):+.2f} % to {100 * (most / given.limit - 1):+.2f} %)."
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
