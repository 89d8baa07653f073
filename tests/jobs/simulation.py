"""Several servers in one simulated world, run under a seed: kills, pauses, clocks that differ, a database that fails.

The supervisor and its SQL are the real ones, on a real SQLite file. Time, chance, processes and trouble are made here, so a
seed that breaks something breaks it again. A job of this world makes numbered items; each attempt writes them to a place
of its own, and a checkpoint says how many of which attempt's count, as `Work` asks of real jobs.
"""

from __future__ import annotations

import contextlib
import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random

from outcrop.jobs import Job, Kind, NameTaken, TokenReused, queue
from outcrop.jobs.job import ORDER, at, from_json
from outcrop.store.database import Database, Row, Transaction
from tests.jobs.simulated import NOTHING, START, TIMING, Broken, FaultyDatabase, Server, SimulatedProcess, Violation

REGION = "us-east-1"
TROUBLE = ["crash", "crash", "pause process", "kill", "close", "pause", "pause", "faults", "faults"]
# Trouble ends here; whatever is open then must end by itself.
TROUBLE_SECONDS = 120.0
SKEW_SECONDS = 0.5
# How long nobody may hold a job while a server has room: the clocks differ, and ticks are a little late.
STUCK_SECONDS = TIMING.longest_backoff + 2 * SKEW_SECONDS + 2 * 1.1 * TIMING.tick
# How long two processes may work at one job: until the one that was overtaken has been told so.
OVERLAP_SECONDS = 2 * SKEW_SECONDS + 2 * 1.1 * TIMING.tick
# One attempt has not heard of it and is crashed; the next has all of the time that stopping may take.
STOP_SECONDS = 3 * 1.1 * TIMING.tick + TIMING.stop + 1.1 * TIMING.tick


NEW: Row = {"status": "queued", "fence": 0, "state": None}


class World:
    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.random = Random(seed)
        self.now = 0.0
        self.written: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.seen: dict[str, Row] = {}
        self.idle_since: dict[str, float] = {}
        self.overlap_since: dict[str, float] = {}
        self.stopping_since: dict[str, float] = {}
        self.trouble_over = False
        self.jobs: list[Job] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.kinds = {
            "items": Kind("items", "", at_once=2, crashes=1000, deliver=deliver),
            "single": Kind("single", "", at_once=1, crashes=1000, deliver=deliver),
            "crasher": Kind("crasher", "", at_once=1, crashes=3),
        }
        self.servers = [
            Server(
                self,
                f"server-{number}",
                self.random.uniform(-SKEW_SECONDS, SKEW_SECONDS),
                self.random.choice([1, 2, 3]),
            )
            for number in range(self.random.choice([1, 2, 2, 3]))
        ]

    def at(self, moment: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, event))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self.at(self.now + seconds, event)

    def run(self) -> None:
        """Trouble for a while, then none, until everything has ended; Violation says what broke."""
        for server in self.servers:
            server.start()
        for _ in range(self.random.randint(3, 6)):
            self.after(self.random.uniform(0, 80), self.create)
        self.after(self.random.uniform(1, 8), self.harm)
        self.at(TROUBLE_SECONDS, self.peace)
        # Afterwards only processes crash, and what is asked for then comes in time.
        for _ in range(2):
            self.at(TROUBLE_SECONDS + self.random.uniform(1, 20), lambda: self.create(to_stop=True))
        self._go_on(TROUBLE_SECONDS + 600)
        self.check_the_end()

    def _go_on(self, until: float) -> None:
        while self._events and self.now < until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            self.check_processes()
            if self.now > TROUBLE_SECONDS + 21 and all(row["ended_at"] for row in self.seen.values()):
                return

    def create(self, to_stop: bool = False) -> None:
        """A client that tries again with its token until it is answered, as SDKs do."""
        account = self.random.choice(["1" * 12, "2" * 12])
        kind = self.random.choices(["items", "single", "crasher"], [6, 3, 1])[0]
        body = {
            "items": self.random.randint(1, 30),
            "slowness": self.random.choice([0.5, 2.0, 6.0]),
            "stride": self.random.choice([1, 2, 5]),
        }
        token = f"token-{len(self.jobs)}"
        way = FaultyDatabase(self.database, self.random, self.observe, 0.0 if self.trouble_over else 0.2)
        job_id = f"{self.random.getrandbits(64):016x}"
        made: list[queue.Created] = []
        while not made or self.random.random() < 0.3:
            with contextlib.suppress(Broken):
                with way.transaction() as transaction:
                    created = queue.create(
                        transaction, account, REGION, kind, body, token, now=self.wall(), name=token, unique_name=True,
                        job_id=f"{job_id}{len(made)}",
                    )  # fmt: skip
                made.append(created)
        if len({created.job.id for created in made}) != 1:
            raise Violation(f"one token made {len(made)} jobs")
        job = made[0].job
        for other, error in (({"items": 0}, TokenReused), (body, NameTaken)):
            given = token if error is TokenReused else None
            with contextlib.suppress(error), self.database.transaction() as transaction:
                queue.create(
                    transaction, account, REGION, kind, other, given, now=self.wall(), name=token, unique_name=True
                )
                raise Violation(f"{error.__name__} was not raised")
        self.jobs.append(job)
        if to_stop or self.random.random() < 0.25:
            self.after(self.random.uniform(0, 20), lambda: self.stop(job))

    def stop(self, job: Job) -> None:
        with self.database.transaction() as transaction:
            queue.stop(transaction, job.account, job.region, job.kind, job.id, self.wall())
        self.observe()

    def harm(self) -> None:
        """One piece of trouble, and the next one later."""
        server = self.random.choice(self.servers)
        processes = [process for process in server.processes if process.alive and process.paused_until <= self.now]
        long = self.random.choice([self.random.uniform(0.5, 4 * TIMING.lease), 1000.0])
        choice = "crash" if self.trouble_over else self.random.choice(TROUBLE)
        if choice == "crash" and processes:
            self.random.choice(processes).crash("it was killed by SIGKILL")
        elif choice == "pause process" and processes:
            self.random.choice(processes).paused_until = self.now + long
        elif choice == "kill" and server.alive:
            server.kill()
            self.after(self.random.uniform(0.1, 15), lambda: self.revive(server))
        elif choice == "close" and server.alive:
            server.stop()
            self.after(self.random.uniform(0.1, 5), lambda: self.revive(server))
        elif choice == "pause" and server.alive:
            server.paused_until = max(server.paused_until, self.now + min(long, 4 * TIMING.lease))
        elif choice == "faults" and server.alive:
            database = server.database
            database.faults = self.random.choice([0.05, 0.3, 1.0, 1.0])
            self.after(self.random.uniform(0.5, 3 * TIMING.lease), lambda: setattr(database, "faults", 0.0))
        if self.now < TROUBLE_SECONDS + 30:
            self.after(self.random.expovariate(1 / (10 if self.trouble_over else 2)), self.harm)

    def revive(self, server: Server) -> None:
        if not server.alive:
            server.start()

    def peace(self) -> None:
        self.trouble_over = True
        for server in self.servers:
            server.database.faults = 0.0
            if server.paused_until > self.now:
                server.paused_until = self.now
                self.after(0, partial(server.tick, server.life))
            self.revive(server)

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def observe(self) -> None:
        """What anybody who looks at the table at any moment may rely on."""
        for row in self.database.query("SELECT id, status, fence, state, lease_until, ended_at, result FROM jobs"):
            before = self.seen.get(row["id"], NEW)
            if dict(row) != before:
                self.check_move(before, row)
                self.seen[row["id"]] = row
            self.check_patience(row)

    def check_move(self, before: Row, row: Row) -> None:
        old, new = before["status"], row["status"]
        if new != old and (ORDER[new] < ORDER[old] or ORDER[old] == 3 or (old, new) == ("stopping", "completed")):
            raise Violation(f"{row['id']} went from {old} to {new}")
        if row["fence"] < before["fence"]:
            raise Violation(f"the fence of {row['id']} went back")
        if row["state"] != before["state"]:
            state = from_json(row["state"])
            if before["state"] and state["next"] < from_json(before["state"])["next"]:
                raise Violation(f"{row['id']} went back to item {state['next']}")
            if state["parts"][-1][0] != row["fence"]:
                raise Violation(f"{row['id']} has a checkpoint of an attempt that was overtaken")
        if row["result"] and from_json(row["result"])["by"] != row["fence"]:
            raise Violation(f"{row['id']} has the result of an attempt that was overtaken")

    def check_kept(self, process: SimulatedProcess) -> None:
        row = self.database.one("SELECT state FROM jobs WHERE id = ?", process.job.id)
        if row is None or from_json(row["state"]) != process.state:
            raise Violation(f"{process.job.id} was told that its checkpoint is kept")

    def check_patience(self, row: Row) -> None:
        """Once there is no trouble, nobody waits long while a server has room, and what is to stop stops in time."""
        if row["status"] == "stopping" and self.trouble_over:
            since = self.stopping_since.setdefault(row["id"], max(self.now, TROUBLE_SECONDS + TIMING.lease + 2))
            if self.now - since > STOP_SECONDS:
                raise Violation(f"{row['id']} is stopping since {since:.2f}")
        held = row["lease_until"] is not None and row["lease_until"] >= at(self.wall())
        full = any(server.supervisor.held for server in self.servers)
        if held or row["ended_at"] or not self.trouble_over or (full and row["status"] != "stopping"):
            self.idle_since.pop(row["id"], None)
        elif self.now - self.idle_since.setdefault(row["id"], self.now) > STUCK_SECONDS:
            raise Violation(f"{row['id']} is stuck since {self.idle_since[row['id']]:.2f}")

    def check_processes(self) -> None:
        """Only while a server sleeps do two of them work at one job for more than a moment, or does one wait for long."""
        working: Counter[str] = Counter()
        for server in self.servers:
            if server.alive and server.paused_until <= self.now:
                alive = [process for process in server.processes if process.alive and not process.finished]
                working.update(process.job.id for process in alive)
                crashes = [one.crashed_at for one in server.processes if one.crashed_at is not None]
                if crashes and self.now - max(TROUBLE_SECONDS, *crashes) > OVERLAP_SECONDS:
                    raise Violation(f"a crash is not seen on {server.name}")
                waits = [self.now - max(one.asked_at, TROUBLE_SECONDS) for one in alive if one.asked_at is not None]
                if max(waits, default=0) > OVERLAP_SECONDS:
                    raise Violation(f"a checkpoint is waited for on {server.name}")
        for job_id in [*self.overlap_since]:
            if working[job_id] < 2:
                del self.overlap_since[job_id]
        for job_id, count in working.items():
            if count > 1 and self.now - self.overlap_since.setdefault(job_id, self.now) > OVERLAP_SECONDS:
                raise Violation(f"{count} processes work at {job_id}")

    def check_the_end(self) -> None:
        delivered = [row["value"] for row in self.database.query("SELECT value FROM tags")]
        for made in self.jobs:
            job = queue.find(self.database, made.account, made.region, made.kind, made.id)
            if job is None or not job.ended:
                raise Violation(f"{made.id} never ended: {job}")
            if delivered.count(job.id) != (1 if job.status == "completed" and job.kind != "crasher" else 0):
                raise Violation(f"{job.id} {job.status} and was delivered {delivered.count(job.id)} times")
            self.check_items(job)

    def check_items(self, job: Job) -> None:
        """Those that count: exactly the first so many, each once; for one that completed, all."""
        if job.kind == "crasher":
            if job.status == "failed" and not re.search("crashed [3-5] times", job.reason or ""):
                raise Violation(f"{job.id} failed with {job.reason}")
            if job.status == "completed":
                raise Violation(f"{job.id} completed")
            return
        state = job.result["state"] if job.result else job.state or NOTHING
        kept = [item for fence, count in state["parts"] for item in self.written[job.id, fence][:count]]
        if kept != list(range(state["next"])):
            raise Violation(f"{job.id} has items {kept}")
        if job.status == "completed" and len(kept) != job.input["items"]:
            raise Violation(f"{job.id} completed with {len(kept)} of {job.input['items']} items")
        if job.status not in ("completed", "stopped"):
            raise Violation(f"{job.id} {job.status}: {job.reason}")


def deliver(transaction: Transaction, job: Job) -> None:
    """The value is the job, the key differs, so that two deliveries are two rows."""
    transaction.execute(
        "INSERT INTO tags (resource_arn, key, value) VALUES (?, ?, ?)",
        f"{job.id}/{job.fence}",
        str(job.ended_at),
        job.id,
    )


def simulate(database: Database, seed: int) -> World:
    """One world, in a database that is emptied first."""
    with database.transaction() as transaction:
        for table in ("job_lines", "jobs", "tags"):
            transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - three names
    world = World(database, seed)
    try:
        world.run()
    except Violation as problem:
        raise Violation(f"seed {seed}, second {world.now:.2f}: {problem}") from None
    return world
