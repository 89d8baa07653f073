from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import serve
from tests.pretraining.asking import Asking, administrator

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

SETTINGS = """
[customization]
at_once = 2
threads = 1
checkpoint_seconds = 0.001
largest_pretraining_parameters = 1_000_000
"""


@pytest.fixture(scope="session")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """The administrator of a live server."""
    with serve(tmp_path_factory.mktemp("pretraining"), settings=SETTINGS) as running:
        yield administrator(running)
