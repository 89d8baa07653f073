"""Servers that share a database share the quotas, and whoever is killed and started again is given no fresh minute."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live import Server, serve
from tests.serve.calls import call, said
from tests.stores import postgresql_at, settings_of

MODEL = "test.scripted-v1:0"
LIMIT = 200
SETTINGS = f"""
house_model = false
[[models]]
id = "{MODEL}"
engine = "scripted"
[[quotas]]
requests_per_minute = {LIMIT}
"""


def answered(servers: Sequence[Server], requests: int) -> int:
    """How many of so many requests to each, all at once, were not refused."""

    def ask(number: int) -> int:
        return call(servers[number % len(servers)], f"/model/{MODEL}/converse", said("Hi")).status

    with ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(ask, range(requests * len(servers))))
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_two_servers_and_a_restart(tmp_path: Path) -> None:
    text = SETTINGS + settings_of(postgresql_at(tmp_path))
    one_home, other_home = tmp_path / "one", tmp_path / "other"
    with serve(one_home, settings=text) as one:
        other_home.mkdir()
        shutil.copy(one_home / "key", other_home / "key")
        with serve(other_home, settings=text) as other:
            # Within the minute in which all of this happens, nothing is forgotten.
            got = answered([one, other], LIMIT)
            os.killpg(other.process.pid, signal.SIGKILL)
        assert LIMIT * 0.99 - 1 <= got <= LIMIT
        with serve(other_home, settings=text) as again:
            got += answered([one, again], 10)
    with serve(one_home, settings=text) as again:
        got += answered([again], 10)
    assert got <= LIMIT
