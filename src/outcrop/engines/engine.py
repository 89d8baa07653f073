"""The seam between Outcrop and whatever generates tokens.

Engines speak of chat, completion, embeddings and token counts; they know neither AWS nor guardrails nor accounts.
One `Engine` object serves one model. Every engine passes the same contract suite (`tests/contracts/engine.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """`format` is png, jpeg, gif or webp; `data` the file's bytes."""

    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thought aloud before its answer, handed back unchanged in a tool loop.

    `signature` is the engine's own (`ReasoningSignature`), where it gave one.
    """

    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's wish to call `name`; `arguments` is a JSON object."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The caller's answer to the call `id`. `parts` hold text (JSON results rendered as JSON text) and images."""

    id: str
    parts: tuple[Text | Image, ...]
    error: bool = False


@dataclass(frozen=True, slots=True)
class CachePoint:
    """All before it may be kept for the next request. Only engines with `Capabilities.cache_points` are shown one."""

    ttl: Literal["5m", "1h"] | None = None


Part = Text | Image | Reasoning | ToolCall | ToolResult | CachePoint


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Tool results travel in a `user` message, as in Converse; the engine re-shapes them for its template."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """`schema` is the JSON schema of the arguments. `strict`: decoding must be held to it. `cache`: a point after it."""

    name: str
    description: str
    schema: Json
    strict: bool = False
    cache: CachePoint | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`any`: some tool must be called; `tool`: exactly the tool `name`; `none`: none may be called."""

    mode: Literal["auto", "any", "tool", "none"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """None means the engine's default for the model. `max_tokens` None: until the model stops or its context is full."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """The model is asked to think before it answers: for at most `budget_tokens`, or as long as it finds right."""

    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`messages` begins with at most one system message. With `json_schema`, the answer's text is valid against it.

    A last message of role `assistant` is a prefill: the answer continues it and does not repeat it.
    `thinking` is for engines that must be asked; those that always or never think pass over it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    json_schema: Json | None = None
    sampling: Sampling = field(default_factory=Sampling)
    thinking: Thinking | None = None


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Raw continuation of `prompt`, no template applied."""

    prompt: str
    json_schema: Json | None = None
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` counts the whole prompt; `cached_tokens` of it came from the engine's prefix cache, and
    `written_tokens` went into one at a price.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningSignature:
    """Ends a run of reasoning where its maker signs it: the `signature` of the `Reasoning` that is handed back."""

    signature: str


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """Opens the call number `index` (from 0) of this answer."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the JSON text of the arguments of call `index`; the pieces joined are one JSON object ("" means {})."""

    index: int
    fragment: str


FinishReason = Literal[
    "stop",  # the model ended its turn
    "stop_sequence",  # a stop string was met; it is not part of the text
    "length",  # max_tokens reached
    "context",  # the context window is full
    "tool_calls",
    "content_filter",
    "malformed_tool_call",  # the model wrote something that is no call of a tool it was given
]


@dataclass(frozen=True, slots=True)
class Finish:
    """Always the last delta of an answer, exactly once."""

    reason: FinishReason
    usage: Usage
    stop_sequence: str | None = None


Delta = TextDelta | ReasoningDelta | ReasoningSignature | ToolCallStart | ToolCallDelta | Finish


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this model behind this engine can really do; the catalogue shows nothing else.

    `cache_points`: it must be told where to keep a prefix. `parameters`: how many numbers its weights are, where they lie here and say so.
    """

    context_tokens: int
    chat: bool = True
    streaming: bool = True
    tools: bool = False
    json_schema: bool = False
    images: bool = False
    reasoning: bool = False
    system: bool = True
    embeddings: bool = False
    rerank: bool = False
    count_tokens: bool = True
    cache_points: bool = False
    parameters: int | None = None


class Engine(Protocol):
    """One model, ready or startable. Closing the iterator of `chat` or `complete` cancels the generation."""

    async def start(self) -> None:
        """Load the model if it is not loaded. Idempotent; raises EngineFailed with a sentence."""

    async def capabilities(self) -> Capabilities: ...

    def chat(self, request: ChatRequest) -> AsyncIterator[Delta]: ...

    def complete(self, request: CompletionRequest) -> AsyncIterator[Delta]: ...

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        """Tokens of the prompt as the model's own tokenizer and template make them."""

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        """One vector a text, not normalised by us."""

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        """One relevance score a document, in the documents' order."""

    def ready(self) -> bool:
        """Whether a request sent now would be answered without a start."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NativeAnswer:
    """`body` exactly as the model's provider sent it; `headers` are those that describe it (token counts, latency)."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Native(Protocol):
    """An engine that takes and gives the bodies of its model's own API, byte for byte. Its errors are EngineErrors.

    `headers` are further ones that its provider knows (`x-amzn-bedrock-trace`, ...). `models` are the names, at the
    provider, of those that may answer: they tell whose bodies are meant.
    """

    @property
    def models(self) -> tuple[str, ...]: ...

    async def invoke(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> NativeAnswer: ...

    def invoke_streamed(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> AsyncIterator[bytes]:
        """The inner bytes of each chunk. Closing the iterator cancels the generation."""


def native(engine: Engine) -> Native | None:
    """The engine's way for native bodies, None if it has none. Engines that wrap others have a property `native`."""
    if hasattr(engine, "native"):
        return cast("Native | None", engine.native)
    return cast("Native", engine) if hasattr(engine, "invoke_streamed") else None


class EngineError(Exception):
    """Base of what an engine may raise, before the first delta or between deltas."""


class ContextOverflow(EngineError):
    """The prompt (with max_tokens, where given) does not fit. Never cut silently."""

    def __init__(self, tokens: int | None, limit: int | None) -> None:
        super().__init__(f"the prompt has {tokens} tokens, the context holds {limit}")
        self.tokens = tokens
        self.limit = limit


class Unsupported(EngineError):
    """This engine or model cannot do what was asked; `feature` is a short noun ('tool use', 'images', 'embeddings')."""

    def __init__(self, feature: str, detail: str = "") -> None:
        super().__init__(detail or f"this model doesn't support {feature}")
        self.feature = feature


class InvalidRequest(EngineError):
    """The engine refused the request's content; the text says why and may be shown to the caller."""


class EngineBusy(EngineError):
    """The engine's queue is full. `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineFailed(EngineError):
    """The engine crashed, could not start, or answered nonsense. `status` is the upstream HTTP status where there is one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


UpstreamKind = Literal[
    "invalid",  # the caller's request, in the upstream's words
    "denied",  # the upstream refused the operator's key or credentials
    "missing",  # the upstream has no such model
    "not_ready",  # it is being loaded; come again
    "unavailable",
    "internal",
]


class Upstream(EngineFailed):
    """A server that belongs to somebody else refused or failed, and said how.

    The text may be shown to the caller. `detail` is for the operator's log: what the upstream said of the operator.
    """

    def __init__(self, kind: UpstreamKind, message: str, *, status: int | None = None, detail: str = "") -> None:
        super().__init__(message, status)
        self.kind = kind
        self.detail = detail


class EngineTimeout(EngineError):
    """The engine did not answer in its time."""


def is_callers_fault(problem: EngineError) -> bool:
    """Whether every engine would have to refuse the request."""
    if isinstance(problem, Upstream):
        return problem.kind == "invalid"
    return isinstance(problem, ContextOverflow | InvalidRequest | Unsupported)
