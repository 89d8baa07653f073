"""One suite asked of one model: as many questions at once as keep its engine busy, each answer scored and recorded."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from outcrop import __version__
from outcrop.engines.cores import usable_cores
from outcrop.evaluation.asking import Answer, Ask, Parameters, Question
from outcrop.evaluation.cache import Cache
from outcrop.evaluation.item import Item, Options, Scored, Suite
from outcrop.evaluation.results import Record, Run
from outcrop.evaluation.sandbox.run import walls
from outcrop.evaluation.suites import programs

# Each place of an engine taken, and one waiting behind it.
EACH_PLACE = 2
# Where an engine does not say how many it works on.
IN_FLIGHT = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A model to be evaluated. `fingerprint` tells it from others in the cache. `room`: how many requests it works on at
    once, where that is known; `at_once`: how many to send, where that is wished for. `engine` is for the result.
    """

    name: str
    fingerprint: str
    ask: Ask
    room: int | None = None
    at_once: int | None = None
    engine: str = ""

    @property
    def in_flight(self) -> int:
        return self.at_once or (EACH_PLACE * self.room if self.room else IN_FLIGHT)


class Plan(msgspec.Struct, frozen=True):
    """How to ask: `limit` items, chosen under the seed; `samples` answers to each."""

    options: Options = Options()
    parameters: Parameters = Parameters()
    samples: int = 1
    limit: int | None = None


def some(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """So many of them, the same for the same seed, in their own order."""
    if limit is None or limit >= len(items):
        return list(items)
    places = random.Random(seed).sample(range(len(items)), limit)  # noqa: S311 - a sample that can be drawn again
    return [items[place] for place in sorted(places)]


async def evaluate(
    asked: Asked,
    suite: Suite,
    items: Sequence[Item],
    plan: Plan,
    cache: Cache | None = None,
    done: Callable[[Record], None] = lambda record: None,
) -> tuple[Run, list[Record]]:
    """All records, in the order of the items. `done` is told each as it comes: first what was known, then what is asked.

    EvaluationError where the suite's programs cannot be run.
    """
    if suite.runs_programs:
        await asyncio.to_thread(programs.check)
    begun, at = time.monotonic(), datetime.now(UTC)
    questions = [
        (item, Question(item.prompt, plan.parameters, sample)) for item in items for sample in range(plan.samples)
    ]
    records: list[Record | None] = [None] * len(questions)
    scoring = asyncio.Semaphore(usable_cores())

    async def score(place: int, answer: Answer, cached: bool) -> None:
        item, question = questions[place]
        if suite.runs_programs:
            async with scoring:
                scored = await asyncio.to_thread(_scored, suite, item, answer)
        else:
            scored = _scored(suite, item, answer)
        record = _record(asked.name, suite.name, item, question, answer, scored, cached)
        records[place] = record
        done(record)

    async def work(places: Iterator[int], group: asyncio.TaskGroup) -> None:
        """Asks one after the other; scoring must not keep the model waiting."""
        for place in places:
            question = questions[place][1]
            answer = await asked.ask(question)
            if cache is not None and answer.failure is None:
                cache.keep(asked.fingerprint, question, answer)
            group.create_task(score(place, answer, False))

    unknown = []
    async with asyncio.TaskGroup() as group:
        for place, (_, question) in enumerate(questions):
            known = cache.find(asked.fingerprint, question) if cache is not None else None
            if known is None:
                unknown.append(place)
            else:
                group.create_task(score(place, known, True))
        places = iter(unknown)
        for _ in range(min(asked.in_flight, len(unknown))):
            group.create_task(work(places, group))
    run = _run(asked, suite, plan, len(items), at, time.monotonic() - begun)
    return run, [record for record in records if record is not None]


def _scored(suite: Suite, item: Item, answer: Answer) -> Scored:
    """What failed counts as wrong, by every metric: a model does not get better by not answering."""
    if answer.failure is None:
        return suite.score(item, answer.text)
    weights = {} if suite.runs_programs else suite.score(item, "").weights
    return Scored(dict.fromkeys(suite.metrics, 0.0), None, weights)


def _record(
    model: str, suite: str, item: Item, question: Question, answer: Answer, scored: Scored, cached: bool
) -> Record:
    reference = item.reference if isinstance(item.reference, str) else json.dumps(item.reference, ensure_ascii=False)
    return Record(
        model=model,
        suite=suite,
        item=item.id,
        group=item.group,
        cluster=item.cluster,
        sample=question.sample,
        prompt="\n\n".join(turn.text for turn in item.prompt.turns),
        answer=answer.text,
        extracted=scored.extracted,
        reference=reference,
        scores=dict(scored.scores),
        weights=dict(scored.weights),
        detail=scored.detail,
        finish=answer.finish,
        failure=answer.failure,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        seconds=answer.seconds,
        cached=cached,
    )


def _run(asked: Asked, suite: Suite, plan: Plan, items: int, at: datetime, seconds: float) -> Run:
    return Run(
        model=asked.name,
        suite=suite.name,
        title=suite.title,
        field=suite.field,
        protocol=suite.protocol(plan.options),
        published=suite.published,
        metrics=suite.metrics,
        items=items,
        samples=plan.samples,
        temperature=plan.parameters.temperature,
        top_p=plan.parameters.top_p,
        seed=plan.parameters.seed,
        max_tokens=plan.parameters.max_tokens,
        shots=suite.shots if plan.options.shots is None else plan.options.shots,
        limit=plan.limit,
        at=at.isoformat(timespec="seconds"),
        version=__version__,
        seconds=seconds,
        chance=suite.chance,
        sandbox=dict(walls()) if suite.runs_programs else {},
        engine=asked.engine,
        groups=plan.options.groups,
    )
