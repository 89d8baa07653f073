"""Durable jobs under `kill -9`: real servers on one database, real processes, and hundreds of kills and pauses at random.

    python -m benchmarks.chaos [--kills 500] [--servers 3] [--seed 1] [--store postgresql://...]

Workers and servers are killed without warning, or put to sleep for longer than their lease, while jobs are created (each
by five clients at once with one token) and some are stopped. Each job makes numbered items, each attempt in a file of its
own, and its checkpoint says how many lines of which file count. Afterwards nothing may be lost, nothing done twice, no
status may ever have gone backwards, and no job may have been held by nobody for longer than its lease. A server that
falls asleep while it writes keeps all others from writing, in SQLite until it wakes, in PostgreSQL for five seconds: that
time is told apart. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from outcrop.jobs import Job, Kind, Outcome, Work, completed, queue, stopped
from outcrop.jobs.job import ORDER
from outcrop.jobs.supervisor import Timing
from outcrop.store.database import Database, DatabaseError, Transaction

REGION = "us-east-1"
TIMING = Timing(tick=0.2, lease=3.0, stop=3.0, backoff=0.1, longest_backoff=0.5)
AT_ONCE = 4
OPEN_JOBS = 8
# A write that waits so long waits for somebody who sleeps.
BLOCKED_SECONDS = 0.5


def run(work: Work) -> Outcome:
    """The job: `items` lines, a few of them between two checkpoints."""
    state = work.state or {"next": 0, "parts": []}
    path = Path(work.input["folder"], f"{work.id}-{work.attempt}.jsonl")
    with path.open("a") as file:
        for item in range(state["next"], work.input["items"]):
            if work.stopping():
                return stopped(state)
            time.sleep(work.input["seconds"])
            file.write(json.dumps({"item": item}) + "\n")
            file.flush()
            parts = [part for part in state["parts"] if part[0] != work.attempt]
            mine = sum(count for attempt, count in state["parts"] if attempt == work.attempt)
            state = {"next": item + 1, "parts": [*parts, [work.attempt, mine + 1]]}
            work.progress(item + 1, work.input["items"])
            if item % work.input["stride"] == 0:
                work.checkpoint(state)
    return completed(state)


def deliver(transaction: Transaction, job: Job) -> None:
    """Two deliveries would be two rows."""
    transaction.execute(
        "INSERT INTO tags (resource_arn, key, value) VALUES (?, ?, ?)",
        f"{job.id}/{job.fence}",
        str(job.ended_at),
        job.id,
    )


KIND = Kind("chaos", "benchmarks.chaos:run", at_once=AT_ONCE, crashes=100_000, deliver=deliver)


def serve(where: Path | str, folder: Path) -> None:
    """One server: only what runs jobs of it."""
    from outcrop.jobs.service import Service

    database = Database.open(where)
    service = Service(
        database,
        folder / "logs",
        at_once=AT_ONCE,
        clock=lambda: datetime.now(UTC),
        timing=TIMING,
        kinds={"chaos": KIND},
    )
    service.start()
    threading.Event().wait()


@dataclass
class Servers:
    """The processes that are killed."""

    where: Path | str
    folder: Path
    number: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        self.processes = [process for process in self.processes if process.poll() is None]
        while len(self.processes) < self.number:
            command = [sys.executable, "-m", "benchmarks.chaos", "--serve", str(self.where), str(self.folder)]
            with (self.folder / "servers.log").open("ab") as log:
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    def workers(self) -> list[int]:
        servers = {process.pid for process in self.processes}
        return [pid for pid in _pids() if _parent(pid) in servers]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@dataclass
class Trouble:
    """Does one bad thing after the other, a seed's choice."""

    servers: Servers
    random: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    asleep: list[tuple[float, int]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.counts["workers killed"] + self.counts["servers killed"]

    def next(self) -> None:
        choice = self.random.random()
        workers, server = self.servers.workers(), self.random.choice(self.servers.processes)
        if choice < 0.68 and workers:
            self._send("workers killed", self.random.choice(workers), signal.SIGKILL)
        elif choice < 0.86:
            self._send("servers killed", server.pid, signal.SIGKILL)
            server.wait()
            self.servers.start()
        elif choice < 0.93:
            self._sleep("servers put to sleep", server.pid)
        elif workers:
            self._sleep("workers put to sleep", self.random.choice(workers))
        self.wake()

    def wake(self, *, everybody: bool = False) -> None:
        now = time.monotonic()
        for moment, pid in [*self.asleep]:
            if everybody or moment <= now:
                self.asleep.remove((moment, pid))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _sleep(self, what: str, pid: int) -> None:
        if len(self.asleep) < 2 and pid not in [asleep for _, asleep in self.asleep]:
            self._send(what, pid, signal.SIGSTOP)
            self.asleep.append((time.monotonic() + self.random.uniform(0.2, 3 * TIMING.lease), pid))

    def _send(self, what: str, pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            self.counts[what] += 1


@dataclass
class Watcher:
    """Looks at the table many times a second, as a client would, and remembers what must not be."""

    database: Database
    backwards: list[str] = field(default_factory=list)
    overdue: dict[tuple[str, int], float] = field(default_factory=dict)
    blocked: float = 0.0
    _blocked_at: dict[tuple[str, int], float] = field(default_factory=dict)
    _before: dict[str, tuple[str, int]] = field(default_factory=dict)

    def look(self) -> None:
        now, blocked = datetime.now(UTC), self.blocked
        for row in self.database.query("SELECT id, status, fence, lease_until, ended_at FROM jobs"):
            old, fence = self._before.get(row["id"], ("queued", 0))
            new = row["status"]
            if row["fence"] < fence or (new != old and (ORDER[new] < ORDER[old] or ORDER[old] == 3)):  # type: ignore[index]  # the table's own words
                self.backwards.append(f"{row['id']}: {old} to {new}")
            self._before[row["id"]] = (new, row["fence"])
            if row["lease_until"] is not None and row["ended_at"] is None:
                late = (now - datetime.fromisoformat(row["lease_until"])).total_seconds()
                key = (row["id"], row["fence"])
                late -= blocked - self._blocked_at.setdefault(key, blocked) if late > 0 else 0.0
                self.overdue[key] = max(late, self.overdue.get(key, 0.0))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        ended = threading.Event()

        def keep_looking() -> None:
            while not ended.wait(0.05):
                self.look()

        def keep_writing() -> None:
            while not ended.wait(0.1):
                self.write()

        threads = [threading.Thread(target=keep_looking), threading.Thread(target=keep_writing)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
            self.look()

    def write(self) -> None:
        """Nothing, to see whether anybody can."""
        began = time.monotonic()
        with contextlib.suppress(DatabaseError), self.database.transaction() as transaction:
            transaction.execute("UPDATE jobs SET id = id WHERE id = ''")
        waited = time.monotonic() - began
        self.blocked += waited if waited > BLOCKED_SECONDS else 0.0


@dataclass
class Clients:
    """Create jobs, each from five at once with one token, and stop some."""

    database: Database
    folder: Path
    random: random.Random
    jobs: list[Job] = field(default_factory=list)
    doubled: int = 0
    stops: int = 0

    def keep_busy(self, pool: ThreadPoolExecutor) -> None:
        still_open = [job for job in self.jobs if not _found(self.database, job).ended]
        if still_open and self.random.random() < 0.03:
            self.stop(self.random.choice(still_open))
        if len(still_open) < OPEN_JOBS:
            self.create(pool)

    def create(self, pool: ThreadPoolExecutor) -> None:
        token, account = f"token-{len(self.jobs)}", self.random.choice(["1" * 12, "2" * 12])
        body = {
            "items": self.random.randint(20, 120),
            "seconds": self.random.choice([0.01, 0.03]),
            "stride": self.random.choice([1, 5]),
            "folder": str(self.folder),
        }

        def once(_: int) -> Job:
            """Tried again with the same token when the database is busy, as SDKs do."""
            while True:
                with contextlib.suppress(DatabaseError), self.database.transaction() as transaction:
                    return queue.create(transaction, account, REGION, "chaos", body, token, now=datetime.now(UTC)).job

        made = list(pool.map(once, range(5)))
        self.doubled += len({job.id for job in made}) - 1
        self.jobs.append(made[0])

    def stop(self, job: Job) -> None:
        with contextlib.suppress(DatabaseError), self.database.transaction() as transaction:
            self.stops += queue.stop(transaction, job.account, REGION, "chaos", job.id, datetime.now(UTC)) is not None


@dataclass(frozen=True)
class Report:
    """What is found after everything has ended. The first ones must be 0."""

    items_lost: int
    items_done_twice: int
    deliveries_wrong: int
    jobs_failed: int
    jobs_doubled: int
    statuses_backwards: int
    jobs: int
    completed: int
    stopped: int
    items: int
    attempts: int
    most_attempts_of_a_job: int
    workers_killed: int
    servers_killed: int
    workers_put_to_sleep: int
    servers_put_to_sleep: int
    seconds: float
    nobody_could_write_seconds: float
    lease_seconds: float
    longest_past_its_lease_seconds: float
    stop_seconds_median: float
    stop_seconds_longest: float

    @property
    def is_good(self) -> bool:
        wrong = (
            self.items_lost, self.items_done_twice, self.deliveries_wrong, self.jobs_failed, self.jobs_doubled,
            self.statuses_backwards,
        )  # fmt: skip
        return not any(wrong) and self.longest_past_its_lease_seconds <= self.lease_seconds


def chaos(where: Path | str, folder: Path, *, kills: int, servers: int, seed: int, pause: float = 0.15) -> Report:
    """Trouble until so many were killed, then peace until every job has ended."""
    chance, began = random.Random(seed), time.monotonic()
    database = Database.open(where)
    (folder / "out").mkdir()
    running = Servers(where, folder, servers)
    trouble, watcher = Trouble(running, chance), Watcher(database)
    clients = Clients(database, folder / "out", chance)
    running.start()
    try:
        with ThreadPoolExecutor(5) as pool, watcher.watching():
            while trouble.kills < kills:
                clients.keep_busy(pool)
                trouble.next()
                time.sleep(chance.uniform(0, 2 * pause))
            trouble.wake(everybody=True)
            _until_all_ended(database, clients.jobs)
        return _report(database, clients, trouble, watcher, time.monotonic() - began)
    finally:
        trouble.wake(everybody=True)
        running.end()
        database.close()


def _report(database: Database, clients: Clients, trouble: Trouble, watcher: Watcher, seconds: float) -> Report:
    jobs = [_found(database, job) for job in clients.jobs]
    statuses = Counter(job.status for job in jobs)
    kept = {job.id: _kept(job) for job in jobs}
    expected = {job.id: set(range(_reached(job))) for job in jobs}
    delivered = Counter(row["value"] for row in database.query("SELECT value FROM tags"))
    stops = [(job.ended_at - job.stop_at).total_seconds() for job in jobs if job.stop_at and job.ended_at] or [0.0]
    return Report(
        items_lost=sum(len(expected[job.id] - set(kept[job.id])) for job in jobs),
        items_done_twice=sum(len(kept[job.id]) - len(set(kept[job.id])) for job in jobs),
        deliveries_wrong=sum(delivered[job.id] != (job.status == "completed") for job in jobs),
        jobs_failed=statuses["failed"],
        jobs_doubled=clients.doubled,
        statuses_backwards=len(watcher.backwards),
        jobs=len(jobs),
        completed=statuses["completed"],
        stopped=statuses["stopped"],
        items=sum(map(len, kept.values())),
        attempts=sum(job.fence for job in jobs),
        most_attempts_of_a_job=max(job.fence for job in jobs),
        workers_killed=trouble.counts["workers killed"],
        servers_killed=trouble.counts["servers killed"],
        workers_put_to_sleep=trouble.counts["workers put to sleep"],
        servers_put_to_sleep=trouble.counts["servers put to sleep"],
        seconds=round(seconds, 1),
        nobody_could_write_seconds=round(watcher.blocked, 1),
        lease_seconds=TIMING.lease,
        longest_past_its_lease_seconds=round(max(watcher.overdue.values(), default=0.0), 2),
        stop_seconds_median=round(statistics.median(stops), 2),
        stop_seconds_longest=round(max(stops), 2),
    )


def _kept(job: Job) -> list[int]:
    """The items that count: those lines that the outcome names, or the last checkpoint."""
    state = job.result or job.state or {"parts": []}
    found: list[int] = []
    for attempt, count in state["parts"]:
        text = Path(job.input["folder"], f"{job.id}-{attempt}.jsonl").read_text()
        found += [json.loads(line)["item"] for line in text.splitlines()[:count]]
    return found


def _reached(job: Job) -> int:
    if job.status == "completed":
        return int(job.input["items"])
    return int((job.result or job.state or {"next": 0})["next"])


def _found(database: Database, job: Job) -> Job:
    found = queue.find(database, job.account, job.region, job.kind, job.id)
    assert found is not None
    return found


def _until_all_ended(database: Database, jobs: list[Job]) -> None:
    deadline = time.monotonic() + 300
    while not all(_found(database, job).ended for job in jobs):
        if time.monotonic() > deadline:
            raise SystemExit(f"never ended: {[job for job in jobs if not _found(database, job).ended]}")
        time.sleep(0.1)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", help="the URL of an empty PostgreSQL database; without it, a SQLite file")
    parser.add_argument("--serve", nargs=2, metavar=("STORE", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        where, folder = given.serve
        serve(where if "://" in where else Path(where), Path(folder))
        return
    with tempfile.TemporaryDirectory() as name:
        where = given.store or Path(name, "outcrop.db")
        report = chaos(where, Path(name), kills=given.kills, servers=given.servers, seed=given.seed)
    _show(report, "PostgreSQL" if given.store else "SQLite")


def _show(report: Report, store: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.servers import write_results

    table = Table("", store, title="Durable jobs under kill -9")
    for name, value in asdict(report).items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
    write_results(f"chaos-{store.lower()}", asdict(report))
    if not report.is_good:
        raise SystemExit("Something was lost, done twice, went backwards, or was stuck longer than its lease.")


if __name__ == "__main__":
    main()
