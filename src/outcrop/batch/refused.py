"""What ends a job for good, and what it is worth trying again for."""

from __future__ import annotations

from outcrop.objects.errors import ObjectsError

# S3 codes that pass.
PASSING = frozenset({"ServiceUnavailable", "SlowDown", "InternalError", "RequestTimeout"})


class Refused(Exception):
    """A sentence for the job's `message`."""


class Stopped(Exception):
    """The job was asked to stop, or its time is over, in the middle of something that has no result yet."""


def told(problem: ObjectsError, uri: str) -> Refused:
    """ObjectsError itself where it is worth trying again."""
    if problem.code in PASSING:
        raise problem
    return Refused(f"{uri}: {problem.message}")
