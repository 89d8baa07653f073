from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.identity.door import Door, opened


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with opened(tmp_path / "home") as door:
        yield door
