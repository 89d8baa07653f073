"""Pretraining jobs, on the server's loop."""

from __future__ import annotations

from outcrop.batch.service import Service
from outcrop.context import Parts
from outcrop.customization.service import TIMING
from outcrop.jobs import Kind
from outcrop.pretraining.job import KIND, sweep
from outcrop.pretraining.run import PretrainingRun, delivering


def service(parts: Parts) -> Service:
    sweep(parts.engines.home, parts.database)
    at_once = parts.settings.customization.at_once
    kind = Kind(KIND, "a task of the server: a trainer", at_once=at_once, deliver=delivering(parts.clock))
    return Service(
        parts.database,
        {KIND: PretrainingRun(parts)},
        at_once=at_once,
        clock=parts.clock,
        timing=TIMING,
        kinds={KIND: kind},
    )
