"""Items from a local folder, or fetched once and checked; benchmarks are never shipped."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from outcrop.evaluation.item import EvaluationError, Options, Source

FETCH_SECONDS = 600.0


def files(folder: Path, pattern: str) -> list[Path]:
    """All files below the folder whose names fit, in the order of their paths. EvaluationError if there are none."""
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not found:
        raise EvaluationError(
            f"{folder} holds no {pattern}. See docs/how-to/evaluate.md for where the data comes from."
        )
    return found


def json_lines(path: Path, *needed: str) -> Iterator[dict[str, Any]]:
    """Of a file that may be compressed, or may be one JSON array. Each has the `needed` keys, or EvaluationError is raised."""
    try:
        body = path.read_bytes()
        text = (gzip.decompress(body) if path.suffix == ".gz" else body).decode("utf-8")
        # Not splitlines: texts of benchmarks hold line separators that are none of JSON lines.
        lines = [line for line in text.split("\n") if line.strip()]
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError) as problem:
        raise EvaluationError(f"{path} cannot be read: {problem}") from None
    for number, row in enumerate(rows, 1):
        if missing := [key for key in needed if not isinstance(row, dict) or key not in row]:
            raise EvaluationError(f"Row {number} of {path} has no {missing[0]}.")
        yield row


def csv_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return [row for row in csv.reader(lines) if row]
    except (OSError, ValueError, csv.Error) as problem:
        raise EvaluationError(f"{path} cannot be read: {problem}") from None


def chosen(group: str, options: Options) -> bool:
    return not options.groups or group in options.groups


def folder_of(data: Path, suite: str) -> Path:
    """A suite's own folder, or all of the data where there is none."""
    return data / suite if (data / suite).is_dir() else data


def missing(sources: Sequence[Source], folder: Path) -> list[Source]:
    """What was not fetched yet."""
    return [source for source in sources if not _there(source, folder)]


def _there(source: Source, folder: Path) -> bool:
    # The note that an archive was unpacked is written after its last file.
    return (folder / (f"{source.name}.unpacked" if source.members else source.name)).exists()


async def fetch(sources: Sequence[Source], folder: Path) -> None:
    """Fetch what is not there. EvaluationError for a file that is not the one that was published."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True, trust_env=True) as session:
        for source in missing(sources, folder):
            try:
                async with session.get(source.url) as answer:
                    body = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as problem:
                raise EvaluationError(
                    f"{source.url} cannot be fetched: {problem or type(problem).__name__}. Put the file into {folder} "
                    "by hand, or name the folder that has it with --data."
                ) from None
            keep(source, body, folder)


def keep(source: Source, body: bytes, folder: Path) -> None:
    """Write it whole or not at all, once it is found to be what was published."""
    found = hashlib.sha256(body).hexdigest()
    if found != source.sha256:
        raise EvaluationError(f"{source.url} is not what was published: its SHA-256 is {found}, not {source.sha256}.")
    folder.mkdir(parents=True, exist_ok=True)
    if source.members:
        for name, inner in _members(source, body):
            _write(folder / name, inner)
        _write(folder / f"{source.name}.unpacked", source.sha256.encode())
    else:
        _write(folder / source.name, body)


def _members(source: Source, body: bytes) -> Iterator[tuple[str, bytes]]:
    """By their bare names, whatever folders the archive has."""
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(source.members):
                inner = archive.extractfile(member)
                assert inner is not None  # it is a file
                yield Path(member.name).name, inner.read()


def _write(path: Path, body: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(body)
    aside.replace(path)
