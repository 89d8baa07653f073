"""Places of engines that are kept for somebody: how they are spread over the engines of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# For each model, how many places of its engines each reservation has.
Reservations = Mapping[str, Mapping[str, int]]


def reservable(rooms: Sequence[int | None]) -> int | None:
    """How many places may be reserved: one of each engine stays for all. None where an engine has no known number."""
    known = [room - 1 for room in rooms if room is not None]
    return sum(known) if len(known) == len(rooms) else None


def spread(wanted: Mapping[str, int], rooms: Sequence[int]) -> list[dict[str, int]]:
    """The places of each reservation in each engine, the first engines first. All of them fit."""
    spread: list[dict[str, int]] = [{} for _ in rooms]
    free = [room - 1 for room in rooms]
    for name, number in wanted.items():
        left = number
        for engine, places in enumerate(spread):
            taken = min(left, free[engine])
            if taken > 0:
                places[name] = taken
                free[engine] -= taken
                left -= taken
    return spread
