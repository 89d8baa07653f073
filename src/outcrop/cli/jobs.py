"""`outcrop jobs`: what runs, how far it is, and what it says, of all accounts."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import click

from outcrop.jobs import queue
from outcrop.jobs.job import Job, Line, Status
from outcrop.jobs.remaining import Remaining, in_words

if TYPE_CHECKING:
    from outcrop.store.database import Database

LOOK_SECONDS = 0.5
SHOWN_LINES = 20


@click.group()
def jobs() -> None:
    """List jobs and follow them."""


@jobs.command("list")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--status", "statuses", type=click.Choice(get_args(Status)), multiple=True, help="May be repeated.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="No more than so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(kind: str | None, statuses: tuple[Status, ...], limit: int, as_json: bool) -> None:
    """List the jobs of all accounts, the newest first."""
    with _opened() as database:
        found = queue.of_all_accounts(database, kind, statuses, limit)
    if as_json:
        click.echo(json.dumps([_members(job) for job in found], indent=1))
        return
    for job in found:
        far = _far(job)
        line = f"{job.id}  {job.status:9}  {_minute(job.created_at)}  {job.kind:20}  {job.name or '-'}  {far}"
        click.echo(line.rstrip())


@jobs.command()
@click.argument("name", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(name: str, as_json: bool) -> None:
    """Show all of the job with the id or name JOB, the last lines that it said, and what it printed if it crashed."""
    from outcrop.jobs.processes import printed_by
    from outcrop.settings import home

    with _opened() as database:
        job = _only(database, name)
        said = queue.last_lines(database, job.id, SHOWN_LINES)
        printed = printed_by(home() / "logs" / "jobs", job, database.seals)
    if as_json:
        click.echo(json.dumps({**_members(job), "lines": [line.text for line in said], "printed": printed}, indent=1))
        return
    for key, value in _members(job).items():
        if value not in (None, {}):
            click.echo(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")
    for line in said:
        click.echo(_said(line))
    if printed:
        click.echo(f"Its process printed, at last:\n{printed.rstrip()}")


@jobs.command()
@click.argument("name", metavar="JOB")
def watch(name: str) -> None:
    """Follow the job with the id or name JOB to its end. Ends with 0 if it completed, else with 1. Ctrl+C leaves it alone."""
    with _opened() as database:
        try:
            job = _follow(database, _only(database, name))
        except KeyboardInterrupt:
            click.echo(f"\nThe job goes on. To follow it again: outcrop jobs watch {name}", err=True)
            sys.exit(130)
    if job is None:
        raise click.ClickException(f"The job {name} was removed.")
    if job.status != "completed":
        raise click.ClickException(f"The job {job.status}." + (f" {job.reason}" if job.reason else ""))
    click.echo("The job completed.")


def _follow(database: Database, job: Job) -> Job | None:
    """Shows what changes until the job has ended, and returns it; None if it is gone."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[what]}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"), TextColumn("{task.fields[metrics]}"),
    )  # fmt: skip
    console, remaining = Console(), Remaining()
    position, status = (0, 0), ""
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(job.id, total=None, what="", left="", metrics="")
        current: Job | None = job
        while current is not None:
            for line in queue.lines(database, job.id, position):
                position = line.position
                console.print(_said(line), markup=False, highlight=False, soft_wrap=True)
            if (state := _state(current)) != status:
                status = state
                console.print(state, markup=False, highlight=False, style="dim", soft_wrap=True)
            now = time.monotonic()
            if current.done is not None:
                remaining.see(now, current.done)
            left = "" if current.ended or current.done is None else in_words(remaining.seconds(now, current.total))
            bar.update(
                task, total=current.total, completed=current.done or 0, what=current.status, left=left,
                metrics=_metrics(current),
            )  # fmt: skip
            if current.ended:
                return current
            time.sleep(LOOK_SECONDS)
            current = queue.find(database, job.account, job.region, job.kind, job.id)
    return None


def _state(job: Job) -> str:
    """Where it is, in a sentence for a person."""
    if job.ended or job.holder is not None:
        return f"{job.status} (attempt {job.fence})" if job.fence > 1 else str(job.status)
    if job.status == "queued":
        return "queued: it waits for its turn, and for a server that runs jobs of its kind"
    why = f" after a crash: {job.problem}" if job.crashes else ""
    return f"{job.status}: it waits for its next attempt{why}"


def _far(job: Job) -> str:
    if job.reason is not None:
        return job.reason
    if job.done is None:
        return ""
    return f"{job.done:g}" if job.total is None else f"{job.done:g} of {job.total:g}"


def _metrics(job: Job) -> str:
    return "  ".join(
        f"{name} {value:.4g}" if isinstance(value, (int, float)) else name for name, value in job.metrics.items()
    )


def _said(line: Line) -> str:
    return f"{line.said_at.astimezone():%H:%M:%S}  {line.text}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _members(job: Job) -> dict[str, Any]:
    return {
        key: value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
        for key, value in dataclasses.asdict(job).items()
    }


def _only(database: Database, name: str) -> Job:
    found = queue.called(database, name)
    if not found:
        raise click.ClickException(f"There is no job {name}. See: outcrop jobs list")
    if len(found) > 1:
        ids = ", ".join(job.id for job in found)
        raise click.ClickException(f"{len(found)} jobs are called {name}. Name one by its id: {ids}")
    return found[0]


@contextlib.contextmanager
def _opened() -> Iterator[Database]:
    from outcrop import settings
    from outcrop.encryption.keys import attached
    from outcrop.store.database import Database, DatabaseError
    from outcrop.store.keyfile import KeyFileError

    folder = settings.home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chosen = settings.load()
        with contextlib.closing(Database.open(settings.database_of(chosen, folder))) as database:
            attached(chosen, database, folder)
            yield database
    except (settings.SettingsError, DatabaseError, KeyFileError) as problem:
        raise click.ClickException(str(problem)) from None
