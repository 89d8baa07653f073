"""Answers of a teacher: what a distillation's student learns from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from outcrop.batch.refused import Refused
from outcrop.encryption import working
from outcrop.errors import AwsError

# The body of a Converse request → the text of its answer.
Teach = Callable[[Mapping[str, Any]], Awaitable[str]]
TAUGHT = ".taught"


async def answered(
    paths: Sequence[Path], key: str | None, teach: Teach, at_once: int, told: Callable[[int], None]
) -> None:
    """Each record without an answer gets the teacher's, in its place; a file that is done is not asked for again.

    Refused if the teacher cannot answer. `told` hears of each answer.
    """
    for path in paths:
        done = path.with_name(path.name + TAUGHT)
        if done.exists():
            continue
        lines = await asyncio.to_thread(_lines, path, key)
        taught = await _taught(lines, teach, at_once, told)
        await asyncio.to_thread(_write, path, key, taught)
        done.touch()


async def _taught(lines: Sequence[bytes], teach: Teach, at_once: int, told: Callable[[int], None]) -> list[bytes]:
    found = list(lines)
    waiting = iter([(place, asked) for place, line in enumerate(lines) if (asked := question(line)) is not None])

    async def work() -> None:
        for place, asked in waiting:
            try:
                answer = await teach(asked)
            except AwsError as problem:
                raise Refused(
                    f"The teacher could not answer the record of line {place + 1}: {problem.message}"
                ) from None
            found[place] = orjson.dumps(with_answer(orjson.loads(lines[place]), answer)) + b"\n"
            told(place)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return found


def question(line: bytes) -> dict[str, Any] | None:
    """What the teacher is asked, a Converse body; None for a line that has its answer, and for what the trainer will refuse."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    if isinstance(record.get("prompt"), str) and "completion" not in record:
        return {"messages": [{"role": "user", "content": [{"text": record["prompt"]}]}]}
    messages = record.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if "schemaVersion" not in record or not isinstance(last, dict) or last.get("role") != "user":
        return None
    body = {"messages": messages}
    if record.get("system"):
        body["system"] = record["system"]
    return body


def with_answer(record: Mapping[str, Any], answer: str) -> dict[str, Any]:
    if "prompt" in record:
        return {**record, "completion": answer}
    return {**record, "messages": [*record["messages"], {"role": "assistant", "content": [{"text": answer}]}]}


def _lines(path: Path, key: str | None) -> list[bytes]:
    with working.opened(path, key) as file:
        return list(file)


def _write(path: Path, key: str | None, lines: Sequence[bytes]) -> None:
    beside = path.with_suffix(".new")
    with working.created(beside, key) as file:
        for line in lines:
            file.write(line if line.endswith(b"\n") else line + b"\n")
    os.replace(beside, path)
