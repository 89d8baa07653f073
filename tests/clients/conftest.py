from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.clients import page
from tests.clients.serving import environment_of
from tests.live import serve


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What a client has after the steps at the top of docs/clients.md."""
    described = page.read()
    with serve(tmp_path_factory.mktemp("home"), settings=described.settings) as running:
        yield environment_of(running, *described.variables)
