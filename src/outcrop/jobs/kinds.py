"""The kinds of jobs there are. A room registers its own when it is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outcrop.jobs.job import Job
    from outcrop.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Kind:
    """How jobs of one kind are run.

    `run` is `module:function`, a `run(work: Work) -> Outcome`; it is imported in the job's own process only, so that the
    server never imports what it needs. `at_once`: how many run at a time on one server. `crashes`: how many may end
    their process without a checkpoint in between before the job fails. `quiet_seconds`: one that makes no checkpoint,
    progress or line for so long is taken for hung, and killed. `deliver` is called in the server when a job completes,
    in the transaction that says so: what it writes is there if and only if the job completed, and what it raises fails
    the job.
    """

    name: str
    run: str
    at_once: int = 1
    crashes: int = 5
    quiet_seconds: float | None = None
    deliver: Callable[[Transaction, Job], None] | None = None


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Raises ValueError for a name that another kind has."""
    if _KINDS.setdefault(kind.name, kind) != kind:
        raise ValueError(f"Two kinds of jobs are called {kind.name}.")
    return kind


def registered() -> Mapping[str, Kind]:
    return _KINDS
