"""Whether an evaluation keeps its engine busy: its rate against that of the same requests with no evaluation around them.

    python -m benchmarks.evaluation [--rounds 3] [--engine scripted,house] [--items 600]

The requests are those of GSM8K with one example (made up, if the public data is not there). The peer keeps as many of them in flight as
the evaluation does and throws the answers away. The two take turns in the same process, on the same started engine; the cache is a file,
as in `outcrop evaluate`, and empty. The scripted engine answers at the pace of a server elsewhere; the house model runs here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.servers import write_results
from outcrop.evaluation.asking import Parameters, Question
from outcrop.evaluation.cache import Cache
from outcrop.evaluation.item import Item, Options
from outcrop.evaluation.models import opened, started
from outcrop.evaluation.run import EACH_PLACE, IN_FLIGHT, Asked, Plan, evaluate
from outcrop.evaluation.suites import SUITES
from outcrop.models.specs import house_spec
from outcrop.settings import HOUSE_MODEL, ModelSpec, Settings

SUITE = SUITES["gsm8k"]
# So that a run is of seconds; the share does not hang on it.
PARAMETERS = Parameters(max_tokens=32)
PUBLIC = (
    Path(os.environ.get("OUTCROP_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data/benchmarks/gsm8k"
)


@dataclass(frozen=True)
class Round:
    """Answers a second."""

    saturated: float
    evaluation: float


def items(count: int, folder: Path) -> list[Item]:
    if PUBLIC.is_dir():
        return SUITE.load(PUBLIC, Options(shots=1))[:count]
    rows = [{"question": f"What is {n} and {n + 1}?", "answer": f"We add.\n#### {2 * n + 1}"} for n in range(count)]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SUITE.load(folder, Options(shots=1))


def spec(engine: str, folder: Path) -> ModelSpec:
    if engine == "house":
        house = house_spec(HOUSE_MODEL)
        assert house is not None, "its file is shipped"
        return house
    script = folder / "script.json"
    script.write_text(
        json.dumps({"rules": [{"text": "We add. The answer is 18.", "first_delay_ms": 40, "delta_delay_ms": 5}]})
    )
    return ModelSpec(id="scripted", engine="scripted", script=str(script), concurrency=8)


def questions(asked: Sequence[Item]) -> list[Question]:
    return [Question(item.prompt, PARAMETERS) for item in asked]


async def saturated(model: Asked, asked: Sequence[Item]) -> float:
    async def work(left: Iterator[Question]) -> None:
        for question in left:
            answer = await model.ask(question)
            assert answer.failure is None

    begun, left = time.perf_counter(), iter(questions(asked))
    await asyncio.gather(*(work(left) for _ in range(EACH_PLACE * model.room if model.room else IN_FLIGHT)))
    return len(asked) / (time.perf_counter() - begun)


async def evaluated(model: Asked, asked: Sequence[Item], cache: Path) -> float:
    begun = time.perf_counter()
    with contextlib.closing(Cache(cache)) as kept:
        _, records = await evaluate(model, SUITE, asked, Plan(parameters=PARAMETERS), kept)
    seconds = time.perf_counter() - begun
    assert not any(record.cached or record.failure for record in records)
    return len(records) / seconds


async def rounds(engine: str, count: int, many: int) -> AsyncIterator[Round]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked, model_spec = items(count, folder), spec(engine, folder)
        async with opened([model_spec], Settings(), folder) as engines:
            model = await started(engines, model_spec)
            await saturated(model, asked[: count // 8])  # warm
            for turn in range(many):
                # Each is first in every other round.
                if turn % 2:
                    ours = await evaluated(model, asked, folder / f"{turn}.sqlite3")
                    yield Round(await saturated(model, asked), ours)
                else:
                    bare = await saturated(model, asked)
                    yield Round(bare, await evaluated(model, asked, folder / f"{turn}.sqlite3"))


async def measured(engine: str, count: int, many: int) -> list[Round]:
    return [one async for one in rounds(engine, count, many)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="scripted,house")
    parser.add_argument("--items", type=int, default=600)
    arguments = parser.parse_args()
    table = Table(
        "engine",
        "saturated, answers/s",
        "evaluation, answers/s",
        "share",
        title="How busy an evaluation keeps its engine",
    )
    found = {}
    for engine in arguments.engine.split(","):
        results = asyncio.run(measured(engine, arguments.items, arguments.rounds))
        saturated_rate = statistics.median(one.saturated for one in results)
        evaluation_rate = statistics.median(one.evaluation for one in results)
        share = statistics.median(one.evaluation / one.saturated for one in results)
        table.add_row(engine, f"{saturated_rate:.1f}", f"{evaluation_rate:.1f}", f"{share:.3f}")
        found[engine] = {
            "saturated": saturated_rate,
            "evaluation": evaluation_rate,
            "share": share,
            "rounds": [[one.saturated, one.evaluation] for one in results],
        }
    Console().print(table)
    write_results("evaluation", {"items": arguments.items, "engines": found})


if __name__ == "__main__":
    main()
