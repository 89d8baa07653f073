"""Where the public test material is: beside the project, or where OUTCROP_SHARED says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("OUTCROP_SHARED") or Path(__file__).resolve().parents[2].parent / "shared") / "data"


def needs(folder: str) -> pytest.MarkDecorator:
    """Skips where the folder is absent, as in a user's own clone."""
    return pytest.mark.skipif(
        not (DATA / folder).is_dir(),
        reason=f"{folder} is not in {DATA}; set OUTCROP_SHARED to the folder that holds data/.",
    )
