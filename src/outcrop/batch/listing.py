"""Pages of jobs, of those that fit something which the table of jobs does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outcrop import jobs
from outcrop.context import Context
from outcrop.jobs import Job
from outcrop.store.paging import DEFAULT_PAGE


def page(
    ctx: Context,
    kind: str,
    max_results: int | None,
    token: str | None,
    *,
    query: str,
    fits: Callable[[Job], bool],
    **filters: Any,
) -> tuple[list[Job], str | None]:
    """As `jobs.page`, whose filters `filters` are. `query` says what `fits` goes by: a token is valid for that only."""
    wanted = DEFAULT_PAGE if max_results is None else max_results
    found: list[Job] = []
    while True:
        some, token = jobs.page(
            ctx.database,
            ctx.account,
            ctx.region,
            kind,
            wanted - len(found),
            token,
            key=ctx.parts.vault.subkey(f"paging {query}"),
            **filters,
        )
        found += filter(fits, some)
        if token is None or len(found) >= wanted:
            return found, token
