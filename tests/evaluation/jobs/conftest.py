from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evaluation.jobs.evaluations import Evaluations, connect, settings
from tests.live import serve


@pytest.fixture(scope="session")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluations]:
    """A live server with scripted models, judges among them."""
    folder = tmp_path_factory.mktemp("evaluation-scripts")
    more = 'embedding_model = "test.vectors-v1:0"\n'
    with serve(tmp_path_factory.mktemp("evaluation"), settings=settings(folder, more)) as running:
        yield connect(running)
