"""The jobs of customization, on the server's loop."""

from __future__ import annotations

from outcrop.batch.service import Service
from outcrop.context import Parts
from outcrop.customization import completed, copying, creating, deploying, folders
from outcrop.customization.copying import COPY, CopyRun
from outcrop.customization.creating import CREATING, CreatingRun
from outcrop.customization.deploying import DEPLOYING, DeployingRun
from outcrop.customization.run import CustomizationRun
from outcrop.customization.submitted import JOB
from outcrop.jobs import Kind
from outcrop.jobs.supervisor import Timing

# A trainer that is told to stop has a few seconds to end.
TIMING = Timing(tick=0.5, stop=15.0)
# Copying files and loading models, beside the training.
SMALL_AT_ONCE = 4


def service(parts: Parts) -> Service:
    folders.sweep(parts.engines.home, parts.database)
    training, clock = parts.settings.customization.at_once, parts.clock
    kinds = (
        Kind(JOB, "a task of the server: a trainer", at_once=training, deliver=completed.delivering(clock)),
        Kind(DEPLOYING, "a task of the server", at_once=SMALL_AT_ONCE, deliver=deploying.delivering(clock)),
        Kind(CREATING, "a task of the server", at_once=SMALL_AT_ONCE, deliver=creating.delivering(clock)),
        Kind(COPY, "a task of the server", at_once=SMALL_AT_ONCE, deliver=copying.delivering(clock)),
    )
    return Service(
        parts.database,
        {
            JOB: CustomizationRun(parts),
            DEPLOYING: DeployingRun(parts),
            CREATING: CreatingRun(parts),
            COPY: CopyRun(parts),
        },
        at_once=training + SMALL_AT_ONCE * (len(kinds) - 1),
        clock=clock,
        timing=TIMING,
        kinds={kind.name: kind for kind in kinds},
    )
