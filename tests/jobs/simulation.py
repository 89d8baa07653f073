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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any, cast

from outcrop.jobs import Job, Kind, NameTaken, TokenReused, queue
from outcrop.jobs.claims import Hold
from outcrop.jobs.job import ORDER, at, from_json
from outcrop.jobs.supervisor import Supervisor, Timing
from outcrop.store.database import Database, Row, Transaction

REGION = "us-east-1"
TIMING = Timing(tick=1.0, lease=8.0, stop=4.0, backoff=1.0, longest_backoff=4.0)
BEAT = 2.0
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
START = datetime(2030, 1, 1, tzinfo=UTC)


NOTHING: dict[str, Any] = {"next": 0, "parts": []}
NEW: Row = {"status": "queued", "fence": 0, "state": None}


class Broken(Exception):
    """What a database driver raises when the disk is full or the connection is gone."""


class Violation(AssertionError):
    """The seed found something."""


@dataclass
class FaultyDatabase:
    """A server's way to the database. Statements fail, and a commit fails before or, worse, after it has happened."""

    real: Database
    random: Random
    written: Callable[[], None]
    faults: float = 0.0

    def query(self, sql: str, *params: object) -> list[Row]:
        self._maybe()
        return self.real.query(sql, *params)

    def one(self, sql: str, *params: object) -> Row | None:
        self._maybe()
        return self.real.one(sql, *params)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._maybe()
        with self.real.transaction() as transaction:
            yield transaction
            self._maybe()
        self.written()
        self._maybe()

    def _maybe(self) -> None:
        if self.faults and self.random.random() < self.faults:
            raise Broken("disk I/O error")


@dataclass
class SimulatedProcess:
    """A job's process: makes a few items, asks for a checkpoint, waits until it is kept, and so on.

    It goes on in the world's time until it is killed; one that is paused does and says nothing.
    """

    world: World
    server: Server
    job: Job
    items: int
    slowness: float
    stride: int
    dies: bool
    alive: bool = True
    paused_until: float = 0.0
    stopping: bool = False
    asked_at: float | None = None
    crashed_at: float | None = None
    finished: bool = False
    how: str | None = None

    def __post_init__(self) -> None:
        self.state: dict[str, Any] = self.job.state or NOTHING
        self.stopping = self.job.status == "stopping"
        self.world.after(self.world.random.uniform(0.05, 0.5), self.step)
        self.world.after(BEAT, self.beat)

    def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "stop":
            self.stopping = True
        elif message["type"] == "kept":
            self.world.check_kept(self)
            self.asked_at = None
            self.world.after(self.world.random.uniform(0.0, self.slowness), self.step)

    def ended(self) -> str | None:
        return self.how

    def kill(self) -> None:
        self.alive, self.crashed_at = False, None

    def crash(self, how: str) -> None:
        if self.alive:
            self.alive, self.how, self.crashed_at = False, how, self.world.now

    def step(self) -> None:
        """One thing, then sleep; called again later if it lives."""
        if not self.alive or self.asked_at is not None or self.finished or self._sleeps(self.step):
            return
        if self.dies:
            self.crash("it was killed by SIGKILL")
        elif self.stopping or self.state["next"] >= self.items:
            self.finished = True
            status = "stopped" if self.stopping and self.state["next"] < self.items else "completed"
            result = {"by": self.job.fence, "state": self.state}
            self.say({"type": "outcome", "status": status, "result": result, "reason": None})
        else:
            # The item is written before the checkpoint that makes it count.
            self.world.written[self.job.id, self.job.fence].append(self.state["next"])
            parts = [list(part) for part in self.state["parts"]]
            if not parts or parts[-1][0] != self.job.fence:
                parts.append([self.job.fence, 0])
            parts[-1][1] += 1
            self.state = {"next": self.state["next"] + 1, "parts": parts}
            if self.state["next"] % self.stride:
                self.world.after(self.world.random.uniform(0.0, self.slowness), self.step)
                return
            self.asked_at = self.world.now
            self.say({"type": "line", "line": f"item {self.state['next']}"})
            self.say({"type": "progress", "done": self.state["next"], "total": self.items, "metrics": {}})
            self.say({"type": "checkpoint", "state": self.state})

    def beat(self) -> None:
        if self.alive and not self._sleeps(self.beat):
            self.say({"type": "beat"})
            self.world.after(BEAT, self.beat)

    def say(self, message: Mapping[str, Any]) -> None:
        self.server.inbox.append((Hold(self.job.id, self.job.fence), message))
        self.world.after(self.world.random.uniform(0.0, 0.05), self.server.receive)

    def _sleeps(self, later: Callable[[], None]) -> bool:
        if self.paused_until > self.world.now:
            self.world.at(self.paused_until, later)
            return True
        return False


@dataclass
class Server:
    """One server process: its supervisor lives until it is killed, and is made anew when it starts again."""

    world: World
    name: str
    skew: float
    at_once: int
    alive: bool = False
    paused_until: float = 0.0
    woke: float = 0.0
    life: int = 0
    inbox: list[tuple[Hold, Mapping[str, Any]]] = field(default_factory=list)
    processes: list[SimulatedProcess] = field(default_factory=list)

    def start(self) -> None:
        self.alive, self.life, self.paused_until = True, self.life + 1, 0.0
        self.inbox, self.processes = [], []
        self.database = FaultyDatabase(self.world.database, self.world.random, self.world.observe)
        self.supervisor = Supervisor(
            cast(Database, self.database),
            self.world.kinds,
            self.begin,
            name=f"{self.name}/{self.life}",
            at_once=self.at_once,
            clock=lambda: START + timedelta(seconds=self.world.now + self.skew),
            monotonic=lambda: self.world.now,
            random=self.world.random,
            timing=TIMING,
        )
        self.tick(self.life)

    def begin(self, job: Job, kind: Kind) -> SimulatedProcess:
        process = SimulatedProcess(self.world, self, job, **job.input, dies=kind.name == "crasher")
        self.processes = [*(old for old in self.processes if old.alive or old.crashed_at is not None), process]
        # One that is stopping finds room where others do not.
        running = [one.job.kind for one in self.processes if one.alive and not one.stopping]
        if running.count(kind.name) > kind.at_once or len(running) > self.at_once:
            raise Violation(f"{self.name} runs {running}")
        return process

    def tick(self, life: int) -> None:
        if not self.alive or life != self.life:
            return
        if self.paused_until > self.world.now:
            self.world.at(self.paused_until, lambda: self.tick(life))
            return
        self.woke = max(self.woke, self.paused_until)
        self.receive()
        self.supervisor.tick()
        self.world.after(TIMING.tick * self.world.random.uniform(0.9, 1.1), lambda: self.tick(life))

    def receive(self) -> None:
        if self.alive and self.paused_until <= self.world.now:
            messages, self.inbox = self.inbox, []
            for hold, message in messages:
                self.supervisor.heard(hold, message)

    def kill(self) -> None:
        """Its processes see the end of the socket; one that is paused sees it when it wakes."""
        self.alive = False
        for process in self.processes:
            self.world.at(max(process.paused_until, self.world.now + self.world.random.uniform(0, 0.2)), process.kill)

    def stop(self) -> None:
        self.supervisor.close()
        self.alive = False


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
