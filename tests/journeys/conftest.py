from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import Server, serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The house model over plain HTTP, as after `outcrop serve`, with Claude's names answered by it."""
    with serve(tmp_path_factory.mktemp("home"), "--alias", "anthropic.*=outcrop.house-nano-v1:0") as running:
        yield running


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same over HTTPS with the local authority."""
    with serve(
        tmp_path_factory.mktemp("home-tls"), "--tls", "--alias", "anthropic.*=outcrop.house-nano-v1:0"
    ) as running:
        yield running
