"""The parts of a simulated world: a database that fails, processes and servers. See `simulation`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, cast

from outcrop.jobs import Job, Kind
from outcrop.jobs.claims import Hold
from outcrop.jobs.supervisor import Supervisor, Timing
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.seals import Seals

if TYPE_CHECKING:
    from tests.jobs.simulation import World

TIMING = Timing(tick=1.0, lease=8.0, stop=4.0, backoff=1.0, longest_backoff=4.0)
BEAT = 2.0
START = datetime(2030, 1, 1, tzinfo=UTC)
NOTHING: dict[str, Any] = {"next": 0, "parts": []}


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

    @property
    def seals(self) -> Seals | None:
        return self.real.seals

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
