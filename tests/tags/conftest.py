from __future__ import annotations

from tests.inference.conftest import bench

__all__ = ["bench"]
