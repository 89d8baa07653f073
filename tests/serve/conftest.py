from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.live import Server, serve
from tests.serve.calls import SCRIPT, settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("serve")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with serve(home, settings=settings(str(script))) as running:
        yield running
