"""Prepared answers with timing control, for tests, demonstrations and load tests: everything is real but the model.

A script is a JSON or TOML file of rules; the first that fits a request answers it. Tokens are words.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tomllib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    FinishReason,
    Image,
    InvalidRequest,
    Json,
    ReasoningDelta,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolResult,
    Unsupported,
    Usage,
)
from outcrop.engines.openai.stops import StopFinder
from outcrop.engines.smallest import smallest
from outcrop.settings import ModelSpec

CONTEXT_TOKENS = 8192
EMBEDDING_DIMENSIONS = 64
_PIECES = re.compile(r"\s*\S+\s*?|\s+$")
# How many pieces go out without letting anybody else run.
_BURST = 32


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] = {}


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Raised after `after_deltas` pieces of the answer; 0 is before the first."""

    kind: Literal["failed", "busy", "timeout", "overflow", "invalid"]
    message: str = "The script says so."
    after_deltas: int = 0


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`contains` and `matches` (a regular expression) look at the last message's text; `tool` at the tools that are offered;
    `after_tool_result` at whether the last message holds a tool's result; `messages` are the texts of all messages, as they
    must be. Without any, the rule fits everything.
    """

    contains: str | None = None
    matches: str | None = None
    tool: str | None = None
    after_tool_result: bool | None = None
    messages: tuple[str, ...] | None = None
    reasoning: str = ""
    text: str = ""
    tool_calls: tuple[Call, ...] = ()
    first_delay_ms: float = 0.0
    delta_delay_ms: float = 0.0
    finish: FinishReason | None = None
    cached_tokens: int = 0
    error: Failure | None = None


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...] = ()
    images: bool = True
    tools: bool = True
    json_schema: bool = True
    reasoning: bool = True
    embeddings: bool = True
    rerank: bool = True


class Scripted:
    """Without a script, or where no rule fits, the last message comes back."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._script = read(Path(spec.script)) if spec.script else Script()
        self._patterns = {rule.matches: re.compile(rule.matches) for rule in self._script.rules if rule.matches}

    @property
    def able(self) -> Capabilities:
        script = self._script
        return Capabilities(
            self.spec.context_tokens or CONTEXT_TOKENS,
            tools=script.tools,
            json_schema=script.json_schema,
            images=script.images,
            reasoning=script.reasoning,
            embeddings=script.embeddings,
            rerank=script.rerank,
        )

    async def start(self) -> None:
        """There is nothing to load."""

    async def capabilities(self) -> Capabilities:
        return self.able

    def ready(self) -> bool:
        return True

    async def close(self) -> None:
        """There is nothing to end."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        self._check(request)
        last = _last_text(request)
        rule = self._rule(request, last)
        tokens = self._fitting(_count(request))
        async with aclosing(self._played(rule, list(self._answer(rule, request, last)), request, tokens)) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        tokens = self._fitting(len(request.prompt.split()))
        rule = self._rule(None, request.prompt)
        text = rule.text or request.prompt
        if request.json_schema is not None:
            text = orjson.dumps(_fitted(rule.text, request.json_schema)).decode()
        async with aclosing(self._played(rule, list(map(TextDelta, _pieces(text))), request, tokens)) as deltas:
            async for delta in deltas:
                yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        return len(request.prompt.split()) if isinstance(request, CompletionRequest) else _count(request)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        """The same vector for the same text, nearly orthogonal ones for different texts."""
        if not self._script.embeddings:
            raise Unsupported("embeddings")
        tokens = [len(text.split()) for text in texts]
        self._fitting(max(tokens, default=0))
        return [_vector(text) for text in texts], Usage(sum(tokens), 0)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        """The share of the query's words that a document has."""
        if not self._script.rerank:
            raise Unsupported("reranking")
        words = set(query.lower().split())
        scores = [len(words & set(document.lower().split())) / max(1, len(words)) for document in documents]
        return scores, Usage(len(query.split()) + sum(len(document.split()) for document in documents), 0)

    def _check(self, request: ChatRequest) -> None:
        if request.tools and not self._script.tools:
            raise Unsupported("tool use")
        if request.json_schema is not None and not self._script.json_schema:
            raise Unsupported("structured output")
        if not self._script.images and any(isinstance(p, Image) for turn in request.messages for p in turn.parts):
            raise Unsupported("images")

    def _fitting(self, tokens: int) -> int:
        limit = self.spec.context_tokens or CONTEXT_TOKENS
        if tokens > limit:
            raise ContextOverflow(tokens, limit)
        return tokens

    def _raised(self, failure: Failure) -> EngineError:
        limit = self.spec.context_tokens or CONTEXT_TOKENS
        if failure.kind == "overflow":
            return ContextOverflow(limit + 1, limit)
        kinds: dict[str, Callable[[str], EngineError]] = {
            "busy": EngineBusy,
            "timeout": EngineTimeout,
            "invalid": InvalidRequest,
            "failed": EngineFailed,
        }
        return kinds[failure.kind](failure.message)

    def _rule(self, request: ChatRequest | None, last: str) -> Rule:
        for rule in self._script.rules:
            if self._fits(rule, request, last):
                return rule
        return Rule()

    def _fits(self, rule: Rule, request: ChatRequest | None, last: str) -> bool:
        if rule.contains is not None and rule.contains.lower() not in last.lower():
            return False
        if rule.matches is not None and self._patterns[rule.matches].search(last) is None:
            return False
        if rule.messages is not None and (request is None or rule.messages != _texts(request)):
            return False
        if rule.tool is not None and (request is None or rule.tool not in {tool.name for tool in request.tools}):
            return False
        return rule.after_tool_result is None or (
            request is not None and rule.after_tool_result == _has_result(request)
        )

    def _answer(self, rule: Rule, request: ChatRequest, last: str) -> Iterator[Delta]:
        yield from (ReasoningDelta(piece) for piece in _pieces(rule.reasoning))
        calls = rule.tool_calls or _forced(request)
        if request.tool_choice.mode in ("any", "tool"):
            calls = tuple(c for c in calls if request.tool_choice.name in (None, c.name)) or _forced(request)
        elif request.tool_choice.mode == "none" or not request.tools:
            calls = ()
        if request.json_schema is not None:
            yield from map(TextDelta, _pieces(orjson.dumps(_fitted(rule.text, request.json_schema)).decode()))
        elif not calls or rule.text:
            yield from map(TextDelta, _pieces(rule.text or last or "Hello."))
        for index, call in enumerate(calls):
            yield ToolCallStart(index, f"call_{index}", call.name)
            yield from (ToolCallDelta(index, piece) for piece in _pieces(orjson.dumps(call.arguments).decode()))

    async def _played(
        self, rule: Rule, deltas: list[Delta], request: ChatRequest | CompletionRequest, tokens: int
    ) -> AsyncGenerator[Delta, None]:
        """The answer at its pace, cut where the sampling or the script says."""
        deltas, reason, stop = _cut(deltas, request)
        if rule.first_delay_ms:
            await asyncio.sleep(rule.first_delay_ms / 1000)
        for sent, delta in enumerate(deltas):
            if rule.error is not None and sent == rule.error.after_deltas:
                raise self._raised(rule.error)
            if sent and rule.delta_delay_ms:
                await asyncio.sleep(rule.delta_delay_ms / 1000)
            elif sent % _BURST == _BURST - 1:
                await asyncio.sleep(0)
            yield delta
        if rule.error is not None and reason != "length":
            raise self._raised(rule.error)
        usage = Usage(tokens, len(deltas), min(rule.cached_tokens, tokens))
        yield Finish(rule.finish or reason, usage, stop)


def read(path: Path) -> Script:
    """EngineError with a sentence for a script that cannot be used."""
    try:
        data = path.read_bytes()
        raw = tomllib.loads(data.decode()) if path.suffix == ".toml" else orjson.loads(data)
        script = msgspec.convert(raw, Script)
        for rule in script.rules:
            re.compile(rule.matches or "")
    except OSError as problem:
        raise EngineError(f"The script {path} cannot be read: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, orjson.JSONDecodeError, UnicodeDecodeError) as problem:
        raise EngineError(f"The script {path} is not valid: {problem}.") from None
    except (msgspec.ValidationError, re.error) as problem:
        raise EngineError(f"The script {path}: {problem}.") from None
    return script


def _cut(deltas: list[Delta], request: ChatRequest | CompletionRequest) -> tuple[list[Delta], FinishReason, str | None]:
    """What is left of the answer after max_tokens and the stop sequences, and why it ends."""
    sampling = request.sampling
    called = any(isinstance(delta, ToolCallStart) for delta in deltas)
    reason: FinishReason = "tool_calls" if called else "stop"
    if sampling.stop:
        finder, kept = StopFinder(sampling.stop), list[Delta]()
        for delta in deltas:
            if not isinstance(delta, TextDelta):
                kept.append(delta)
            elif safe := finder.feed(delta.text):
                kept.append(TextDelta(safe))
            if finder.found is not None:
                return kept, "stop_sequence", finder.found
        if rest := finder.rest():
            kept.append(TextDelta(rest))
        deltas = kept
    if sampling.max_tokens is not None and len(deltas) > sampling.max_tokens:
        return deltas[: sampling.max_tokens], "length", None
    return deltas, reason, None


def _pieces(text: str) -> list[str]:
    """Words with the white space before them: joined, they are the text."""
    return _PIECES.findall(text)


def _last_text(request: ChatRequest) -> str:
    """Of the last turn that is the user's: what stands after it is a prefill."""
    parts = next((turn.parts for turn in reversed(request.messages) if turn.role == "user"), ())
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def _texts(request: ChatRequest) -> tuple[str, ...]:
    """One for each message."""
    return tuple("\n".join(part.text for part in turn.parts if isinstance(part, Text)) for turn in request.messages)


def _has_result(request: ChatRequest) -> bool:
    return bool(request.messages) and any(isinstance(part, ToolResult) for part in request.messages[-1].parts)


def _count(request: ChatRequest) -> int:
    """Words of all texts, and one for each message, so that no prompt is free."""
    texts = (part.text for turn in request.messages for part in turn.parts if isinstance(part, Text))
    return len(request.messages) + sum(len(text.split()) for text in texts)


def _forced(request: ChatRequest) -> tuple[Call, ...]:
    """The call that must happen although no rule says which."""
    if request.tool_choice.mode not in ("any", "tool") or not request.tools:
        return ()
    chosen = _chosen(request.tools, request.tool_choice.name)
    arguments = smallest(chosen.schema)
    return (Call(chosen.name, arguments if isinstance(arguments, dict) else {}),)


def _chosen(tools: Sequence[Tool], name: str | None) -> Tool:
    return next((tool for tool in tools if tool.name == name), tools[0])


def _fitted(text: str, schema: Json) -> Any:
    """The rule's own JSON where it has some, else the smallest value that fits."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return smallest(schema)


def _vector(text: str) -> list[float]:
    digest = hashlib.shake_256(text.encode()).digest(EMBEDDING_DIMENSIONS)
    raw = [byte - 127.5 for byte in islice(digest, EMBEDDING_DIMENSIONS)]
    length = sum(value * value for value in raw) ** 0.5
    return [value / length for value in raw]
