"""Which engines were tried for a request, where a model has several. The door tells the caller and the log."""

from __future__ import annotations

from contextvars import ContextVar

from outcrop.engines.engine import EngineBusy, EngineError, EngineTimeout, Unsupported, Upstream

ANSWERED = "answered"
LONGEST_HEADER = 1000

Attempt = tuple[str, str]

_attempts: ContextVar[list[Attempt] | None] = ContextVar("outcrop_engine_attempts", default=None)


def begin() -> None:
    """From now on, in this task and those it starts, attempts are written down."""
    _attempts.set([])


def note(engine: str, outcome: str) -> None:
    """`outcome` is ANSWERED, or a few words on why another engine had to be tried. They may be shown to the caller."""
    attempts = _attempts.get()
    if attempts is not None:
        attempts.append((engine, outcome))


def read() -> tuple[Attempt, ...]:
    """The engines in the order they were tried; empty for a model with one engine."""
    return tuple(_attempts.get() or ())


def headers() -> dict[str, str]:
    """`x-outcrop-engine: b` and `x-outcrop-fallback: a (busy)`, each where there is something to say."""
    attempts = read()
    answered = [engine for engine, outcome in attempts if outcome == ANSWERED]
    failed = [f"{engine} ({outcome})" for engine, outcome in attempts if outcome != ANSWERED]
    said = {"x-outcrop-engine": answered[-1] if answered else "", "x-outcrop-fallback": ", ".join(failed)}
    return {name: value[:LONGEST_HEADER] for name, value in said.items() if value}


_WHY = {
    "denied": "refused its credentials",
    "missing": "has no such model",
    "not_ready": "not ready",
    "unavailable": "unavailable",
    "internal": "failed",
}


def why(problem: EngineError) -> str:
    """A few words for the caller: nothing of what an upstream said."""
    if isinstance(problem, Upstream):
        return _WHY.get(problem.kind, "failed")
    if isinstance(problem, EngineBusy):
        return "busy"
    if isinstance(problem, Unsupported):
        return "cannot do it"
    return "timed out" if isinstance(problem, EngineTimeout) else "failed"
