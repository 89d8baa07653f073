"""A client that goes away takes its generation with it."""

from __future__ import annotations

import time

import pytest

from tests.live import Server
from tests.serve.calls import CONVERSE, STREAM, call, health, log_lines, opened, said


def requests_under_way(server: Server) -> int:
    return int(health(server)["engines"][0]["requests"])


def wait_until_under_way(server: Server, count: int) -> float:
    started = time.monotonic()
    while requests_under_way(server) != count:
        assert time.monotonic() - started < 20, f"there were never {count} requests under way"
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("path", "text"), [(STREAM, "slowly"), (STREAM, "never"), (CONVERSE, "slowly"), (CONVERSE, "never")]
)
def test_a_disconnect_cancels_the_generation(server: Server, path: str, text: str) -> None:
    """The script would go on for 20 or 60 seconds; the goal is one second, the bound leaves room for a busy machine."""
    connection = opened(server, path, said(text))
    wait_until_under_way(server, 1)
    if text == "slowly" and path == STREAM:
        assert connection.getresponse().read(50)
    connection.close()
    assert wait_until_under_way(server, 0) < 5
    for _ in range(100):
        if any(line.get("status") == 499 for line in log_lines(server)[-3:]):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("no line says that the client went away")
    assert call(server, CONVERSE, said("hi")).status == 200
