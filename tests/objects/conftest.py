from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import Server, serve
from tests.objects.clients import Buckets


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """No model is needed for objects."""
    home = tmp_path_factory.mktemp("objects")
    folder = tmp_path_factory.mktemp("dropped")
    with serve(home, settings=f'house_model = false\n[objects.buckets.dropped]\nfolder = "{folder}"\n') as running:
        yield running


@pytest.fixture
def buckets(server: Server) -> Buckets:
    """Makes a bucket for each test that asks."""
    return Buckets(server)
