"""Durable jobs: work that outlives the request that asked for it, the process that does it, and the server.

A room registers a `Kind`, creates jobs in its own transactions, and maps their statuses to names of its own.
"""

from outcrop.jobs.job import Job, Line, Status
from outcrop.jobs.kinds import Kind, register
from outcrop.jobs.queue import Created, NameTaken, TokenReused, create, find, lines, page, remove, stop
from outcrop.jobs.work import Outcome, Work, completed, failed, stopped

__all__ = [
    "Created",
    "Job",
    "Kind",
    "Line",
    "NameTaken",
    "Outcome",
    "Status",
    "TokenReused",
    "Work",
    "completed",
    "create",
    "failed",
    "find",
    "lines",
    "page",
    "register",
    "remove",
    "stop",
    "stopped",
]
