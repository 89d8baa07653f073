"""What is told of an engine: its state, who uses it and who waits."""

from __future__ import annotations

from collections.abc import Mapping

from outcrop.engines.entry import Entry
from outcrop.settings import engines_of


def status_of(entry: Entry, entries: Mapping[str, Entry]) -> dict[str, object]:
    """Of a model; `entries` has those of its several engines."""
    status: dict[str, object] = {"model": entry.spec.id, "engine": entry.spec.engine, "state": entry.state}
    status["requests"] = entry.users
    status["waiting"] = entry.admission.waiting
    status["turned_away"] = entry.admission.turned_away
    if entry.admission.reserved:
        status["reserved"] = entry.admission.reserved
    if inner := [status_of(entries[spec.id], entries) for spec in engines_of(entry.spec)]:
        # One that lives is enough.
        states = [one["state"] for one in inner if one["state"] != "failed"]
        status |= {"state": states[0] if states else "failed", "engines": inner}
        return status
    if entry.local is not None:
        status["restarts"] = entry.local.process.restarts
    if entry.state == "failed":
        status["problem"] = entry.problem or (entry.local.process.problem if entry.local else "")
    return status
