"""Runs the jobs of one server: claims them, starts their processes, writes what they say, takes them back.

Everything it needs from outside is given to it (clocks, chance, the database, how a process is started) and it does
nothing unless it is called, from one thread. So a test can run it under a seed, in a time of its own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, TypeVar

from outcrop.jobs import claims
from outcrop.jobs.attempt import Attempt, Start
from outcrop.jobs.claims import Hold
from outcrop.jobs.job import Job
from outcrop.jobs.kinds import Kind
from outcrop.jobs.work import Outcome, failed, stopped
from outcrop.store.database import Database, Transaction
from outcrop.store.seals import Unreadable

T = TypeVar("T")

LOST = -1

logger = logging.getLogger("outcrop.jobs")


class Undelivered(Exception):
    """A job's `deliver` raised."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `lease`: how long a job is held without a renewal, and how long a process may be silent.

    `stop`: how long a job may take to stop before it is killed. A crash is tried again after `backoff`, doubled for each
    further one up to `longest_backoff`.
    """

    tick: float = 1.0
    lease: float = 20.0
    stop: float = 7.0
    backoff: float = 1.0
    longest_backoff: float = 60.0


class Supervisor:
    def __init__(
        self,
        database: Database,
        kinds: Mapping[str, Kind],
        start: Start,
        *,
        name: str,
        at_once: int,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        random: Random,
        timing: Timing | None = None,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._start = start
        self._name = name
        self._at_once = at_once
        self._clock = clock
        self._monotonic = monotonic
        self._random = random
        self._timing = timing or Timing()
        self._attempts: dict[Hold, Attempt] = {}
        self._trouble = ""

    @property
    def held(self) -> list[Job]:
        return [attempt.job for attempt in self._attempts.values()]

    def tick(self) -> None:
        """Look after what is held, then take more if there is room. Never raises for what the database does."""
        self._renew()
        for attempt in list(self._attempts.values()):
            self._look_after(attempt)
        self._claim()

    def heard(self, hold: Hold, message: Mapping[str, Any]) -> None:
        """A message of the process of an attempt; those of one that was given up are not listened to."""
        attempt = self._attempts.get(hold)
        if attempt is None or attempt.ending is not None:
            return
        try:
            attempt.hear(message, self._monotonic(), self._clock)
        except (KeyError, TypeError, ValueError) as problem:
            attempt.ending = f"it said what cannot be written: {_words(problem)}"
        if attempt.ending is not None:
            self._write_ending(attempt)
        elif message["type"] == "checkpoint":
            self._write_checkpoint(attempt)

    def close(self) -> None:
        """Give everything back, so that another server, or this one when it is started again, goes on at once."""
        self._renew()
        for attempt in list(self._attempts.values()):
            if attempt.ending is not None:
                self._write_ending(attempt)
            if attempt.hold in self._attempts:
                self._drop(attempt)
                self._try("give back", attempt.job, partial(self._give_back, attempt))

    def _renew(self) -> None:
        """One transaction for all that is held, with what they said since the last."""
        if not self._attempts:
            return
        began = self._monotonic()
        statuses: dict[Hold, str | None] = {}
        try:
            with self._database.transaction() as transaction:
                for hold, attempt in self._attempts.items():
                    statuses[hold] = claims.renew(transaction, hold, self._clock(), self._lease, attempt.progress)
                    if statuses[hold] is not None:
                        claims.say(transaction, hold, list(attempt.lines))
        except Exception as problem:
            self._in_trouble(f"the leases of jobs could not be renewed: {problem}")
            return
        for hold, status in statuses.items():
            attempt = self._attempts[hold]
            if status is None:
                self._lose(attempt)
                continue
            attempt.said()
            attempt.lease_ends = began + self._timing.lease
            if status == "stopping" and attempt.stop_by is None:
                attempt.stop_by = began + self._timing.stop
                attempt.process.send({"type": "stop"})

    def _look_after(self, attempt: Attempt) -> None:
        now = self._monotonic()
        if now >= attempt.lease_ends:
            # Somebody else may hold it by now, so nothing is written.
            logger.warning("job %s is given up: its lease ran out", attempt.job.id)
            self._drop(attempt)
            return
        if attempt.ending is None and attempt.checkpoint is not None:
            self._write_checkpoint(attempt)
        if attempt.ending is None:
            attempt.ending = self._what_ends(attempt, now)
        if attempt.ending is not None and attempt.hold in self._attempts:
            self._write_ending(attempt)

    def _what_ends(self, attempt: Attempt, now: float) -> Outcome | str | None:
        quiet = attempt.kind.quiet_seconds
        if (problem := attempt.process.ended()) is not None:
            return problem
        if attempt.stop_by is not None and now >= attempt.stop_by:
            return stopped()
        if now - attempt.heard_at >= self._timing.lease:
            return f"it did not answer for {self._timing.lease:g} s and was killed"
        if quiet is not None and now - attempt.moved_at >= quiet:
            return f"it got nowhere for {quiet:g} s and was killed"
        return None

    def _write_checkpoint(self, attempt: Attempt) -> None:
        assert attempt.checkpoint is not None
        state = attempt.checkpoint["state"]

        def write(transaction: Transaction) -> int:
            crashes = claims.checkpoint(transaction, attempt.hold, state, self._clock(), attempt.progress)
            if crashes is None:
                return LOST
            claims.say(transaction, attempt.hold, list(attempt.lines))
            return crashes

        try:
            crashes = self._try("write a checkpoint of", attempt.job, write)
        except Unreadable as problem:
            # Its key was disabled meanwhile: what it goes on to do could not be kept.
            attempt.ending, attempt.checkpoint = failed(problem.message), None
            self._write_ending(attempt)
            return
        if crashes == LOST:
            self._lose(attempt)
        elif crashes is not None:
            attempt.crashes, attempt.checkpoint = crashes, None
            attempt.said()
            attempt.process.send({"type": "kept"})

    def _write_ending(self, attempt: Attempt) -> None:
        """What ended needs no process any more. On trouble with the database the next tick tries again."""
        attempt.process.kill()
        try:
            written = self._try("write the end of", attempt.job, lambda transaction: self._end(transaction, attempt))
        except Undelivered as problem:
            # Tried again like a crash, from the last checkpoint, and as often.
            attempt.ending = f"its result could not be delivered: {problem}"
            written = self._try("write the end of", attempt.job, lambda transaction: self._end(transaction, attempt))
        if written is not None:
            self._drop(attempt)

    def _end(self, transaction: Transaction, attempt: Attempt) -> bool:
        """Settle or release; false if the job is lost."""
        assert attempt.ending is not None
        now, hold = self._clock(), attempt.hold
        if claims.renew(transaction, hold, now, self._lease, attempt.progress) is None:
            return False
        claims.say(transaction, hold, list(attempt.lines))
        outcome = attempt.ending if isinstance(attempt.ending, Outcome) else self._given_up(attempt, attempt.ending)
        if outcome is None:
            # How, may quote what it was given, which is encrypted elsewhere.
            logger.warning("job %s crashed: see outcrop jobs show %s", attempt.job.id, attempt.job.id)
            not_before = now + self._backoff(attempt.crashes)
            return claims.release(transaction, hold, now, not_before, attempt.crashes + 1, str(attempt.ending))
        settled = claims.settle(transaction, hold, outcome, now)
        if settled is not None and settled.status == "completed" and attempt.kind.deliver is not None:
            try:
                attempt.kind.deliver(transaction, settled)
            except Exception as problem:
                raise Undelivered(_words(problem)) from problem
        return settled is not None

    def _given_up(self, attempt: Attempt, problem: str) -> Outcome | None:
        """What a crash ends with, if it is not tried again."""
        if attempt.stop_by is not None:
            return stopped()
        return _crashed_too_often(attempt.crashes + 1, problem) if attempt.crashes + 1 >= attempt.kind.crashes else None

    def _claim(self) -> None:
        while True:
            began, free = self._monotonic(), self._with_room()
            full = self._kinds.keys() - set(free)
            try:
                job = claims.claim(self._database, free, self._name, self._clock(), self._lease, sorted(full))
            except Exception as problem:
                self._in_trouble(f"no job could be claimed: {problem}")
                return
            self._trouble = ""
            if job is None:
                return
            self._begin(job, self._kinds[job.kind], began)

    def _with_room(self) -> list[str]:
        if len(self._attempts) >= self._at_once:
            return []
        running = Counter(attempt.kind.name for attempt in self._attempts.values())
        return [name for name, kind in self._kinds.items() if running[name] < kind.at_once]

    def _begin(self, job: Job, kind: Kind, began: float) -> None:
        hold = Hold(job.id, job.fence)
        if job.locked is not None or job.crashes >= kind.crashes:
            outcome = stopped() if job.status == "stopping" else _hopeless(job)
            # If this is not written, its lease runs out, and it is claimed again.
            self._try("end", job, lambda transaction: claims.settle(transaction, hold, outcome, self._clock()))
            return
        lease_ends = began + self._timing.lease
        process, now = self._start(job, kind), self._monotonic()
        stop_by = now + self._timing.stop if job.status == "stopping" else None
        self._attempts[hold] = Attempt(job, kind, process, lease_ends, now, now, job.crashes, stop_by)

    def _give_back(self, attempt: Attempt, transaction: Transaction) -> bool:
        now = self._clock()
        return claims.release(transaction, attempt.hold, now, now, attempt.crashes, None)

    def _lose(self, attempt: Attempt) -> None:
        logger.warning("job %s is lost: another server holds it, or it has ended", attempt.job.id)
        self._drop(attempt)

    def _drop(self, attempt: Attempt) -> None:
        self._attempts.pop(attempt.hold, None)
        attempt.process.kill()

    def _try(self, what: str, job: Job, write: Callable[[Transaction], T]) -> T | None:
        """What `write` answers, once it is on disk; None on trouble with the database, of which nobody knows its state.

        Undelivered and Unreadable are the job's own trouble.
        """
        try:
            with self._database.transaction() as transaction:
                return write(transaction)
        except (Undelivered, Unreadable):
            raise
        except Exception as problem:
            logger.warning("could not %s job %s: %s", what, job.id, problem)
            return None

    def _in_trouble(self, words: str) -> None:
        """Said once, not each second for as long as the database is away."""
        if words != self._trouble:
            self._trouble = words
            logger.warning("%s", words)

    def _backoff(self, crashes: int) -> timedelta:
        longest = min(self._timing.backoff * 2.0 ** min(crashes, 60), self._timing.longest_backoff)
        return timedelta(seconds=longest * self._random.uniform(0.5, 1.0))

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._timing.lease)


def _hopeless(job: Job) -> Outcome:
    return failed(job.locked) if job.locked is not None else _crashed_too_often(job.crashes, job.problem or "")


def _crashed_too_often(times: int, problem: str) -> Outcome:
    return failed(f"Its process crashed {times} times without getting any further. The last time, {problem}.")


def _words(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}".partition("\n")[0]
