"""The data of a customization job: where it is, and how it comes here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from outcrop.batch.inputs import SUFFIX
from outcrop.batch.refused import Refused, Stopped, told
from outcrop.batch.rights import GET, LIST, PUT, Rights
from outcrop.context import Context
from outcrop.customization import logs
from outcrop.encryption import working
from outcrop.errors import ValidationException
from outcrop.objects.errors import ObjectsError
from outcrop.objects.names import parse
from outcrop.objects.objects import Objects, walk

MOST_VALIDATORS = 10
# A file of the data folder is named for its object, so that a message names what the user knows.
TRAINING, VALIDATION = "training", "validation"


def check(ctx: Context, request: Mapping[str, Any]) -> None:
    """ValidationException for what can be told at once; the rest is up to the job."""
    training = request["trainingDataConfig"]
    if ("s3Uri" in training) == ("invocationLogsConfig" in training):
        raise ValidationException("trainingDataConfig needs an s3Uri or an invocationLogsConfig, and not both.")
    if "invocationLogsConfig" in training:
        logs.check(training["invocationLogsConfig"], taught=request.get("customizationType") == "DISTILLATION")
    validators = _validators(request)
    if len(validators) > MOST_VALIDATORS:
        raise ValidationException(f"validationDataConfig can have {MOST_VALIDATORS} validators at most.")
    alone = request.get("customizationType") in ("CONTINUED_PRE_TRAINING", "REINFORCEMENT_FINE_TUNING")
    if alone and "invocationLogsConfig" in training:
        raise ValidationException("Invocation logs hold prompts and answers; this customization type needs an s3Uri.")
    for uri in (source(training), *validators, request["outputDataConfig"]["s3Uri"]):
        try:
            parse(uri)
        except ObjectsError as problem:
            raise ValidationException(f"{uri}: {problem.message}") from None


def is_validated(request: Mapping[str, Any]) -> bool:
    return bool(_validators(request))


def source(training: Mapping[str, Any]) -> str:
    if "s3Uri" in training:
        return str(training["s3Uri"])
    return str(training["invocationLogsConfig"]["invocationLogSource"].get("s3Uri", ""))


def _validators(request: Mapping[str, Any]) -> list[str]:
    return [validator["s3Uri"] for validator in request.get("validationDataConfig", {}).get("validators", [])]


class Data:
    """What a job of this request reads, copied into `folder`, encrypted under `key`. `over`: whether to end before all is there."""

    def __init__(
        self,
        objects: Objects,
        rights: Rights,
        request: Mapping[str, Any],
        folder: Path,
        over: Callable[[], bool],
        key: str | None = None,
    ) -> None:
        self._objects = objects
        self._rights = rights
        self._request = request
        self._folder = folder
        self._over = over
        self._key = key

    def bring(self, eval_percentage: int | None) -> tuple[list[Path], list[Path]]:
        """The files of training and of validation. Blocks. Refused, AccessDeniedException or ObjectsError."""
        self._rights.check(PUT, f"{self._request['outputDataConfig']['s3Uri'].rstrip('/')}/")
        shutil.rmtree(self._folder, ignore_errors=True)
        training = self._training()
        validation = [
            path
            for place, uri in enumerate(_validators(self._request))
            for path in self._copied(uri, self._folder / VALIDATION / str(place))
        ]
        if not validation and eval_percentage is not None:
            training, validation = self._divided(training, eval_percentage)
        return training, validation

    def _training(self) -> list[Path]:
        given = self._request["trainingDataConfig"]
        folder = self._folder / TRAINING
        if "s3Uri" in given:
            return self._copied(given["s3Uri"], folder)
        config = given["invocationLogsConfig"]
        uri = source(given)
        self._rights.check(LIST, uri)
        path = folder / "invocation-logs.jsonl"
        path.parent.mkdir(parents=True)
        with working.created(path, self._key) as file:
            for stored in self._listed(uri):
                if not stored.endswith((".json", ".json.gz")):
                    continue
                self._rights.check(GET, stored)
                for line in logs.records(self._read(stored), stored, config):
                    file.write(line)
        if working.is_empty(path, self._key):
            raise Refused(f"No invocation logs at {uri} fit the filters.")
        return [path]

    def _copied(self, uri: str, folder: Path) -> list[Path]:
        """The object, or all `.jsonl` below a folder."""
        copied = []
        for place, found in enumerate(self._found(uri)):
            target = folder / str(place) / found.rpartition("/")[2]
            target.parent.mkdir(parents=True)
            self._rights.check(GET, found)
            try:
                with self._objects.open(found) as reading, working.created(target, self._key) as file:
                    for chunk in reading:
                        if self._over():
                            raise Stopped
                        file.write(chunk)
            except ObjectsError as problem:
                raise told(problem, found) from None
            copied.append(target)
        return copied

    def _found(self, uri: str) -> list[str]:
        if uri.endswith(SUFFIX):
            return [uri]
        self._rights.check(LIST, uri)
        found = [stored for stored in self._listed(uri) if stored.endswith(SUFFIX)]
        if not found:
            raise Refused(f"No data was found: {uri} is no {SUFFIX} file, and no folder that holds one.")
        return found

    def _listed(self, uri: str) -> Iterator[str]:
        try:
            yield from (stored.uri for stored in walk(self._objects, uri if uri.endswith("/") else f"{uri}/"))
        except ObjectsError as problem:
            raise told(problem, uri) from None

    def _read(self, uri: str) -> bytes:
        if self._over():
            raise Stopped
        try:
            return self._objects.get(uri)
        except ObjectsError as problem:
            raise told(problem, uri) from None

    def _divided(self, paths: list[Path], percentage: int) -> tuple[list[Path], list[Path]]:
        """So many of a hundred records, evenly from all over, are kept for validation."""
        held = self._folder / VALIDATION / "0" / "held-out.jsonl"
        held.parent.mkdir(parents=True)
        number = 0
        with working.created(held, self._key) as aside:
            for path in paths:
                kept = path.with_suffix(".kept")
                with working.opened(path, self._key) as lines, working.created(kept, self._key) as rest:
                    for line in lines:
                        taken = (number + 1) * percentage // 100 > number * percentage // 100
                        (aside if taken else rest).write(line if line.endswith(b"\n") else line + b"\n")
                        number += 1
                kept.replace(path)
        return paths, [] if working.is_empty(held, self._key) else [held]
