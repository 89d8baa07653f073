from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.batch.batches import Batches, connect, settings
from tests.live import serve


@pytest.fixture(scope="session")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    """A live server with a scripted engine of four places, under all of Bedrock's names."""
    folder = tmp_path_factory.mktemp("batch-scripts")
    with serve(tmp_path_factory.mktemp("batch"), settings=settings(folder)) as running:
        yield connect(running)
