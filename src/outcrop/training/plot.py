"""A loss curve as SVG. Two lines and two axes: a plotting library would be the largest package of the extra."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 45
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37")
# More points than pixels show nothing more.
MOST_POINTS = 1000


def losses(curves: Mapping[str, Points]) -> str:
    """Each curve by its name: (step, loss), not finite ones left out. A curve of few points shows them as dots."""
    shown = {name: [p for p in points if math.isfinite(p[1])] for name, points in curves.items()}
    every = [point for points in shown.values() for point in points] or [(0, 0.0)]
    steps = _ticks(0, max(step for step, _ in every))
    values = _ticks(min(loss for _, loss in every), max(loss for _, loss in every))

    def x(step: float) -> float:
        return LEFT + (step - steps[0]) / (steps[-1] - steps[0]) * (WIDTH - LEFT - RIGHT)

    def y(loss: float) -> float:
        return HEIGHT - BOTTOM - (loss - values[0]) / (values[-1] - values[0]) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>',
        f'<text x="{LEFT}" y="{TOP - 12}" text-anchor="middle">loss</text>',
    ]
    for tick in values:
        parts.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts += [f'<text x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{t:g}</text>' for t in steps]
    for number, (name, points) in enumerate(shown.items()):
        colour, kept = COLOURS[number % len(COLOURS)], points[:: max(1, len(points) // MOST_POINTS)]
        line = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in kept)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(kept) <= 20:
            parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3" fill="{colour}"/>' for s, v in kept]
        parts.append(
            f'<text x="{WIDTH - RIGHT - 130}" y="{TOP + 4 + 16 * number}" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose both, at least two."""
    step = 10 ** math.floor(math.log10(max(high - low, 1e-6)))
    step *= next(factor for factor in (0.2, 0.5, 1, 2) if (high - low) / (step * factor) <= 6 or factor == 2)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]
