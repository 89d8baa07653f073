from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.inference.structured.house import House, opened


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("home")) as house:
        yield house
