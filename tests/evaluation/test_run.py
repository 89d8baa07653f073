"""Asking: nothing twice, nothing dropped, the engine busy, and the same answers for the same questions."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
)
from outcrop.evaluation import engine_asking
from outcrop.evaluation.asking import Answer, Parameters, Question
from outcrop.evaluation.cache import Cache
from outcrop.evaluation.engine_asking import asks, fingerprint
from outcrop.evaluation.item import Item, Options, Scored, Suite
from outcrop.evaluation.item import asked as prompt_of
from outcrop.evaluation.results import Record, Results, costs, metrics, scores
from outcrop.evaluation.run import Asked, Plan, evaluate, some
from outcrop.evaluation.suites import SUITES
from outcrop.settings import ModelSpec
from tests.evaluation.benchmarks import write_ifeval
from tests.evaluation.oracle import Oracle, asked, failing

ITEMS = [
    Item(str(n), prompt_of(f"What is {n}?", 8, ("stop",)), str(n), "odd" if n % 2 else "even", str(n))
    for n in range(20)
]
SUITE = Suite(
    name="echo",
    title="Echo",
    field="reasoning",
    metrics=("accuracy",),
    protocol=lambda options: "asked",
    load=lambda folder, options: ITEMS,
    score=lambda item, text: Scored({"accuracy": float(text == item.reference)}, text or None),
    published="nowhere",
)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with closing(Cache(tmp_path / "kept" / "answers.sqlite3")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_asking, "LONGEST_PAUSE_SECONDS", 0.001)


def right(prompt: str, seed: int | None) -> str:
    return prompt.removeprefix("What is ").removesuffix("?")


def run(model: Asked, plan: Plan | None = None, cache: Cache | None = None) -> Results:
    found, records = asyncio.run(evaluate(model, SUITE, ITEMS, plan or Plan(), cache))
    return Results([found], records)


def test_all_items_in_their_order_whatever_the_order_of_the_answers() -> None:
    oracle = Oracle(right, seconds=0.001)
    results = run(asked(oracle))
    assert [record.item for record in results.records] == [item.id for item in ITEMS]
    assert all(record.scores == {"accuracy": 1.0} for record in results.records)
    assert results.records[3].answer == "3"
    assert results.records[3].output_tokens == 1
    assert results.records[3].seconds > 0


def test_the_engine_s_places_are_taken_and_one_waits_behind_each() -> None:
    for room, expected in ((3, 6), (None, 16)):
        oracle = Oracle(right, seconds=0.01)
        run(asked(oracle, room=room))
        assert oracle.most == expected


def test_half_a_character_is_kept_as_what_it_is(cache: Cache, tmp_path: Path) -> None:
    results = run(asked(Oracle(lambda prompt, seed: "12\ud83d")), cache=cache)
    assert {record.answer for record in results.records} == {"12?"}
    results.write(tmp_path / "out")


def test_as_many_at_once_as_is_wished_for() -> None:
    oracle = Oracle(right, seconds=0.01)
    run(Asked("oracle", "oracle", asks(oracle), 4, 11))
    assert oracle.most == 11


def test_what_is_asked() -> None:
    oracle = Oracle(right)
    run(asked(oracle), Plan(parameters=Parameters(temperature=0.5, seed=7, max_tokens=3), samples=2))
    request = oracle.requests[0]
    assert isinstance(request, ChatRequest)
    sampling = request.sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.stop) == (0.5, 3, ("stop",))
    assert {one.sampling.seed for one in oracle.requests} == {7, 8}
    assert len(oracle.requests) == 40


def test_base_models_continue_a_text() -> None:
    oracle = Oracle(right)

    async def answer() -> Answer:
        return await asks(oracle, chat=False)(Question(ITEMS[4].prompt, Parameters()))

    assert asyncio.run(answer()).text == "4"
    assert isinstance(oracle.requests[0], CompletionRequest)
    assert oracle.requests[0].sampling.max_tokens == 8


def test_nothing_is_asked_twice(cache: Cache) -> None:
    first, again, other = Oracle(right), Oracle(right), Oracle(right)
    before = run(asked(first), cache=cache)
    after = run(asked(again), cache=cache)
    assert len(first.requests) == 20
    assert again.requests == []
    assert all(record.cached for record in after.records)
    assert [(r.answer, r.seconds, r.output_tokens) for r in after.records] == [
        (r.answer, r.seconds, r.output_tokens) for r in before.records
    ]
    # Another model, another temperature, another seed or more room are other questions.
    run(asked(other, "other"), cache=cache)
    for parameters in (Parameters(temperature=1.0), Parameters(seed=1), Parameters(max_tokens=9)):
        run(asked(other), Plan(parameters=parameters), cache)
    assert len(other.requests) == 80


def test_more_samples_ask_only_for_those_that_are_new(cache: Cache) -> None:
    oracle = Oracle(right)
    run(asked(oracle), Plan(samples=2), cache)
    run(asked(oracle), Plan(samples=5), cache)
    assert len(oracle.requests) == 100


def test_a_run_that_is_stopped_goes_on(cache: Cache) -> None:
    def stops(prompt: str, seed: int | None) -> str:
        if len(oracle.requests) == 8:
            raise KeyboardInterrupt
        return right(prompt, seed)

    oracle = Oracle(stops, seconds=0.001)
    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        run(asked(oracle, room=1), cache=cache)
    rest = Oracle(right)
    results = run(asked(rest), cache=cache)
    known = sum(record.cached for record in results.records)
    assert 1 <= known < 8
    assert len(rest.requests) == 20 - known
    assert len(results.records) == 20


def test_the_same_job_twice_gives_the_same(cache: Cache) -> None:
    """Without what was kept, too: seeds are those of the plan, however the answers come."""

    def seeded(prompt: str, seed: int | None) -> str:
        return f"{prompt} {seed}"

    plan = Plan(samples=3, parameters=Parameters(seed=5))
    answers = [
        [record.answer for record in run(asked(Oracle(seeded, seconds)), plan).records] for seconds in (0.0, 0.002)
    ]
    assert answers[0] == answers[1]
    assert len(set(answers[0])) == 60


@pytest.mark.parametrize(
    ("problem", "asked_times"),
    [
        (EngineFailed("It is broken."), 3),
        (EngineTimeout("It took too long."), 3),
        (InvalidRequest("It is not liked."), 1),
        (ContextOverflow(9000, 8192), 1),
        (EngineError("It cannot."), 1),
    ],
)
def test_what_fails_is_counted_and_wrong(problem: EngineError, asked_times: int, cache: Cache) -> None:
    oracle = failing(problem)
    results = run(asked(oracle), cache=cache)
    assert len(oracle.requests) == 20 * asked_times
    assert len(results.records) == 20
    (score,), (cost,) = scores(results), costs(results)
    assert (score.mean, score.failures, score.n) == (0.0, 20, 20)
    assert cost.failures == 20
    assert results.records[0].failure is not None
    assert str(problem) in results.records[0].failure
    # It is not kept: once the engine is well, it is asked again.
    assert scores(run(asked(Oracle(right)), cache=cache))[0].mean == 1.0


def test_what_fails_once_is_tried_again() -> None:
    tried: set[str] = set()

    def second_time(prompt: str, seed: int | None) -> str:
        if prompt not in tried:
            tried.add(prompt)
            raise EngineFailed("Not at once.")
        return right(prompt, seed)

    assert scores(run(asked(Oracle(second_time))))[0].mean == 1.0


def test_a_busy_engine_is_waited_for() -> None:
    left = iter(range(50))

    def busy(prompt: str, seed: int | None) -> str:
        if next(left, None) is not None:
            raise EngineBusy("Later.", 0.001)
        return right(prompt, seed)

    results = run(asked(Oracle(busy)))
    assert scores(results)[0].mean == 1.0
    assert scores(results)[0].failures == 0


def test_a_busy_engine_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_asking, "BUSY_SECONDS", 0.01)
    results = run(asked(failing(EngineBusy("Later.", 0.001))))
    assert scores(results)[0].failures == 20
    assert "busy for" in str(results.records[0].failure)


def test_failures_weigh_as_much_as_answers(tmp_path: Path) -> None:
    """An item of two instructions that failed is two instructions not followed."""
    write_ifeval(tmp_path)
    items = SUITES["ifeval"].load(tmp_path, Options())

    def say(prompt: str, seed: int | None) -> str:
        if "capitals" in prompt:
            raise InvalidRequest("No.")
        return "All of it."

    found, records = asyncio.run(evaluate(asked(Oracle(say)), SUITES["ifeval"], items, Plan()))
    means = {score.metric: score.mean for score in scores(Results([found], records))}
    assert means["prompt_strict"] == 0.5
    assert means["instruction_strict"] == pytest.approx(1 / 3)


def test_each_record_is_told_once_and_the_known_ones_first(cache: Cache) -> None:
    run(asked(Oracle(right)), Plan(samples=1), cache)
    told: list[Record] = []
    asyncio.run(evaluate(asked(Oracle(right, 0.001)), SUITE, ITEMS, Plan(samples=2), cache, told.append))
    assert [record.cached for record in told] == [True] * 20 + [False] * 20


def test_a_limit_draws_the_same_items_under_the_same_seed() -> None:
    assert some(ITEMS, None, 0) == some(ITEMS, 20, 0) == some(ITEMS, 21, 0) == ITEMS
    few = some(ITEMS, 5, 1)
    assert few == some(ITEMS, 5, 1)
    assert few != some(ITEMS, 5, 2)
    assert [int(item.id) for item in few] == sorted(int(item.id) for item in few)


def test_a_model_is_its_settings_and_its_files(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    spec = ModelSpec(id="m", engine="llamacpp", path=str(file))
    before = fingerprint(spec)
    assert before == fingerprint(spec)
    assert before != fingerprint(spec, chat=False)
    assert before != fingerprint(ModelSpec(id="m", engine="llamacpp", path=str(file), context_tokens=512))
    file.write_bytes(b"other")
    assert before != fingerprint(spec)


def test_pass_at_k_is_of_each_item_s_samples() -> None:
    """Of four samples of each item one is right: pass@1 is a quarter, pass@4 is all."""

    def one_of_four(prompt: str, seed: int | None) -> str:
        return right(prompt, seed) if seed is not None and (seed + int(right(prompt, seed))) % 4 == 0 else "no"

    passing = msgspec.structs.replace(Plan(), samples=4)
    suite = dataclasses.replace(
        SUITE, metrics=("pass",), score=lambda item, text: Scored({"pass": float(text == item.reference)}, text)
    )
    found, records = asyncio.run(evaluate(asked(Oracle(one_of_four)), suite, ITEMS, passing))
    results = Results([found], records)
    assert [(score.metric, score.mean, score.n) for score in scores(results)] == [
        ("pass@1", 0.25, 20),
        ("pass@4", 1.0, 20),
    ]
    assert metrics(msgspec.structs.replace(found, samples=1)) == ["pass@1"]
    assert metrics(msgspec.structs.replace(found, samples=100)) == ["pass@1", "pass@10", "pass@100"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = run(asked(Oracle(right)), Plan(samples=2))
    results.write(tmp_path / "out")
    read = Results.read(tmp_path / "out")
    assert read == results
    assert read.groups("echo") == ["even", "odd"]
    by_group = [score for score in scores(read, groups=True) if score.group == "odd"]
    assert [score.n for score in by_group] == [10]
