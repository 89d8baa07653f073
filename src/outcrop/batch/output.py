"""The output of a batch job in S3: parts while it runs, a file for each input and the manifest at the end.

A part holds whole lines of one input file. It is written once, under a name that holds the attempt, and counts once a
checkpoint names it; so neither a killed attempt nor one that goes on too long can double or lose a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import orjson

from outcrop.batch.inputs import InputFile
from outcrop.objects.objects import Body, Objects, walk

LINES_TYPE = "application/jsonl"
MANIFEST = "manifest.json.out"


class Runs:
    """Parts one after the other, as `[file, attempt, first, last]`: short, however many parts there are."""

    def __init__(self, known: Sequence[Sequence[int]] = ()) -> None:
        self.known = [list(run) for run in known]

    def add(self, file: int, attempt: int, number: int) -> None:
        last = self.known[-1] if self.known else None
        if last is not None and last[:2] == [file, attempt] and last[3] == number - 1:
            last[3] = number
        else:
            self.known.append([file, attempt, number, number])

    def of(self, file: int) -> Iterator[tuple[int, int]]:
        """Attempt and number of the parts of a file, in order."""
        for of_file, attempt, first, last in self.known:
            if of_file == file:
                yield from ((attempt, number) for number in range(first, last + 1))

    def without(self, files: range) -> Runs:
        return Runs([run for run in self.known if run[0] not in files])


class Output:
    """Everything blocks. `folder` is a URI without a slash at its end, `key` the ARN of the key that encrypts what is in it."""

    def __init__(self, objects: Objects, folder: str, attempt: int, key: str | None = None) -> None:
        self._objects = objects
        self._folder = folder
        self._parts = f"{folder}/.parts"
        self._attempt = attempt
        self._key = key

    def write_inputs(self, files: Sequence[InputFile]) -> None:
        """The list of input files may be longer than a checkpoint."""
        self._put(self._inputs(self._attempt), msgspec.json.encode(files), "application/json")

    def read_inputs(self, attempt: int) -> list[InputFile]:
        return msgspec.json.decode(self._objects.get(self._inputs(attempt)), type=list[InputFile])

    def write_part(self, number: int, lines: Sequence[bytes]) -> None:
        body = b"".join(line + b"\n" for line in lines)
        self._put(self._part(self._attempt, number), body, LINES_TYPE)

    def join(self, file: int, name: str, runs: Runs) -> None:
        """The output of one input file from its parts."""

        def chunks() -> Iterator[bytes]:
            for attempt, number in runs.of(file):
                yield self._objects.get(self._part(attempt, number))

        self._put(f"{self._folder}/{name}.out", chunks(), LINES_TYPE)

    def drop(self, file: int, runs: Runs) -> None:
        for attempt, number in runs.of(file):
            self._objects.delete(self._part(attempt, number))

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        body = orjson.dumps(manifest) + b"\n"
        self._put(f"{self._folder}/{MANIFEST}", body, "application/json")

    def tidy(self) -> None:
        """Remove whatever is left of parts, those of attempts that were killed too."""
        for stored in list(walk(self._objects, f"{self._parts}/")):
            self._objects.delete(stored.uri)

    def _put(self, uri: str, body: Body, content_type: str) -> None:
        self._objects.put(uri, body, content_type=content_type, key=self._key)

    def _inputs(self, attempt: int) -> str:
        return f"{self._parts}/{attempt}-inputs.json"

    def _part(self, attempt: int, number: int) -> str:
        return f"{self._parts}/{attempt}-{number}"
