"""The loss curve: sound XML whatever the numbers are."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from outcrop.training import plot

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {
    "none": [],
    "one point": [(1, 2.5)],
    "a flat line": [(1, 0.5), (2, 0.5)],
    "tiny": [(1, 1e-9), (2, 2e-9)],
    "not finite": [(1, math.inf), (2, 3.0), (3, math.nan), (4, 2.0)],
    "long": [(step, 5.0 / step) for step in range(1, 20000)],
}


@pytest.mark.parametrize("case", CURVES)
def test_a_curve(case: str) -> None:
    root = ElementTree.fromstring(plot.losses({"<training>": CURVES[case]}))  # noqa: S314 - our own text
    (line,) = root.iter(f"{SVG}polyline")
    places = [tuple(map(float, pair.split(","))) for pair in (line.get("points") or "").split()]
    assert len(places) == min(len([p for p in CURVES[case] if math.isfinite(p[1])]), len(places))
    for x, y in places:
        assert plot.LEFT <= x <= plot.WIDTH - plot.RIGHT
        assert plot.TOP <= y <= plot.HEIGHT - plot.BOTTOM
    if case == "not finite":
        assert len(places) == 2
        assert places[0][1] < places[1][1]
