from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import serve
from tests.model_import.imports import Imports, connect


@pytest.fixture(scope="session")
def imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imports]:
    with serve(tmp_path_factory.mktemp("imports")) as running:
        yield connect(running)
