"""The lines of a data set: read, checked, and what each of them has to be asked and judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from outcrop.batch.refused import Refused
from outcrop.evaluation.item import Item, Turn
from outcrop.evaluation.metrics.words import alternatives
from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects

MOST_PROMPTS = 1000
LARGEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """`given` is what the output repeats as inputRecord; `material` what a judge may be shown: prompt, reference, answer,
    passages, citations, reference_passages. `labels` are people's, by metric.
    `item` is that of a benchmark, which scores answers in its own way. `responses` are by their source.
    """

    line: int
    given: Mapping[str, Any]
    material: Mapping[str, str]
    references: tuple[str, ...] = ()
    responses: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, float | str] = field(default_factory=dict)
    item: Item | None = None

    @property
    def prompt(self) -> str:
        return self.material["prompt"]

    @property
    def turns(self) -> tuple[Turn, ...]:
        return self.item.prompt.turns if self.item is not None else (Turn("user", self.prompt),)


class _Response(msgspec.Struct):
    response: str
    modelIdentifier: str


class _Line(msgspec.Struct):
    prompt: str
    referenceResponse: str | None = None
    category: str | None = None
    modelResponses: list[_Response] | None = None
    humanLabels: dict[str, float | str] = {}


class _Text(msgspec.Struct):
    text: str


class _Content(msgspec.Struct):
    content: list[_Text]

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.content)


class _Passage(msgspec.Struct):
    content: _Text
    name: str | None = None


class _Passages(msgspec.Struct):
    retrievalResults: list[_Passage]


class _Span(msgspec.Struct):
    text: str


class _Part(msgspec.Struct):
    textResponsePart: _Span


class _Citation(msgspec.Struct):
    generatedResponsePart: _Part
    retrievedReferences: list[_Passage] = []


class _Output(msgspec.Struct):
    """`retrievedResults` is what sets for retrieval alone have instead of an answer and `retrievedPassages`."""

    knowledgeBaseIdentifier: str
    text: str | None = None
    modelIdentifier: str | None = None
    retrievedPassages: _Passages | None = None
    retrievedResults: _Passages | None = None
    citations: list[_Citation] = []

    @property
    def passages(self) -> _Passages | None:
        return self.retrievedPassages or self.retrievedResults


class _Turn(msgspec.Struct):
    prompt: _Content
    referenceResponses: list[_Content] = []
    referenceContexts: list[_Content] = []
    output: _Output | None = None


class _Conversation(msgspec.Struct):
    conversationTurns: list[_Turn]
    humanLabels: dict[str, float | str] = {}


def read(objects: Objects, uri: str) -> tuple[str, bytes]:
    """ETag and bytes of a data set. Refused for one that is too large."""
    stored = objects.head(uri)
    if stored.size > LARGEST_BYTES:
        raise Refused(f"{uri} has {stored.size} bytes; a dataset may have {LARGEST_BYTES}.")
    with objects.open(uri) as reading:
        return reading.stored.etag, reading.read()


def fetched(objects: Objects, uri: str) -> tuple[str, bytes]:
    try:
        return read(objects, uri)
    except ObjectsError as problem:
        if problem.code == "NoSuchKey":
            raise Refused(f"The dataset {uri} does not exist.") from None
        raise


def records(body: bytes, where: str, sources: Sequence[str], rag: str | None) -> list[Record]:
    """Refused, with the line, for the first one that is not as it should be.

    `sources`: an answer from each of them must come with every prompt. `rag` is the kind of RAG evaluation.
    """
    found: list[Record] = []
    for number, text in enumerate(body.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not text.strip():
            continue
        if len(found) == MOST_PROMPTS:
            raise Refused(f"{where} has more than {MOST_PROMPTS} prompts, which is the most that a job takes.")
        try:
            found.append(_plain(text, number, sources) if rag is None else _rag(text, number, sources[0], rag))
        except (orjson.JSONDecodeError, msgspec.DecodeError, _Wrong, UnicodeDecodeError) as problem:
            raise Refused(f"{where} line {number}: {problem}") from None
    if not found:
        raise Refused(f"{where} has no prompts.")
    return found


class _Wrong(Exception):
    """A sentence about a line."""


def _object(text: bytes) -> dict[str, Any]:
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise _Wrong("The line is not a JSON object.")
    return value


def _plain(text: bytes, number: int, sources: Sequence[str]) -> Record:
    given = _object(text)
    line = msgspec.convert(given, _Line)
    if not line.prompt.strip():
        raise _Wrong("The prompt is empty.")
    material = {"prompt": line.prompt}
    if line.referenceResponse is not None:
        material["reference"] = " or: ".join(alternatives(line.referenceResponse))
    references = () if line.referenceResponse is None else alternatives(line.referenceResponse)
    responses = _supplied(line.modelResponses or [], sources) if sources else {}
    shown = {name: value for name, value in given.items() if name != "modelResponses"}
    return Record(number, shown, material, references, responses, line.humanLabels)


def _supplied(given: Sequence[_Response], sources: Sequence[str]) -> dict[str, str]:
    """The answers by their source, which must be those of the job."""
    named = [one.modelIdentifier for one in given]
    if len(given) != len(sources):
        raise _Wrong(f"modelResponses has {len(given)} answers; exactly {len(sources)} is needed for each prompt.")
    for source in sources:
        if source not in named:
            raise _Wrong(f"modelResponses has no answer of the job's inferenceSourceIdentifier {source}.")
    return {one.modelIdentifier: one.response for one in given}


def _rag(text: bytes, number: int, source: str, rag: str) -> Record:
    given = _object(text)
    line = msgspec.convert(given, _Conversation)
    if len(line.conversationTurns) != 1:
        raise _Wrong(f"conversationTurns has {len(line.conversationTurns)} turns; exactly one is needed in each line.")
    turn = line.conversationTurns[0]
    if turn.output is None or turn.output.passages is None:
        raise _Wrong("The turn has no output with retrievedPassages.")
    if turn.output.knowledgeBaseIdentifier != source:
        raise _Wrong(
            f"The knowledgeBaseIdentifier {turn.output.knowledgeBaseIdentifier} is not the job's ragSourceIdentifier {source}."
        )
    if rag != "retrieve" and turn.output.text is None:
        raise _Wrong("The output has no text.")
    references = tuple(one.text for one in turn.referenceResponses)
    material = {
        "prompt": turn.prompt.text,
        "passages": _listed(turn.output.passages.retrievalResults),
        "reference": " or: ".join(references),
        "reference_passages": "\n\n".join(one.text for one in turn.referenceContexts),
        "citations": "\n\n".join(map(_cited, turn.output.citations)),
        "answer": turn.output.text or "",
    }
    material = {name: value for name, value in material.items() if value}
    if "prompt" not in material:
        raise _Wrong("The prompt is empty.")
    responses = {} if turn.output.text is None else {source: turn.output.text}
    return Record(number, given, material, references, responses, line.humanLabels)


def _listed(passages: Sequence[_Passage]) -> str:
    return "\n\n".join(f"[{at}] {passage.content.text}" for at, passage in enumerate(passages, 1))


def _cited(citation: _Citation) -> str:
    said = citation.generatedResponsePart.textResponsePart.text
    return f'Cited for "{said}":\n{_listed(citation.retrievedReferences)}'
