"""The ways in which a llama.cpp model answers a chat.

Its own chat interface for what is free; its native completion, held to a grammar, for what must fit: calls that must happen,
and answers with a JSON schema.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from typing import Any

from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineFailed,
    Finish,
    InvalidRequest,
    Sampling,
    TextDelta,
    ToolCallStart,
    ToolChoice,
    Usage,
)
from outcrop.engines.judge import Judge
from outcrop.engines.llamacpp.calls import CallReader, callable_tools, missed, must_call, with_usage
from outcrop.engines.llamacpp.grammar import (
    CALL,
    Thoughts,
    answer_grammar,
    call_grammar,
    call_or_answer_grammar,
    is_held,
    probe,
)
from outcrop.engines.llamacpp.shown import continued, told, without_images
from outcrop.engines.openai.bodies import chat_body, messages_of, sampling_body, tool_body
from outcrop.engines.openai.chunks import Chunks
from outcrop.engines.openai.http import Http

# Grammars that are remembered to be good.
_MOST_PROVEN = 1000
_PROBE_TOKENS = 4


class Answers:
    """`template` is the model's chat template; `proven` remembers, from one request to the next, which grammars are good.

    `lora` is what llama.cpp is told of adapters with each request, None for nothing.
    """

    def __init__(
        self, http: Http, template: str, proven: set[bytes], lora: Sequence[Mapping[str, float]] | None = None
    ) -> None:
        self._http = http
        self._lora: dict[str, Any] = {} if lora is None else {"lora": lora}
        self._template = template
        self._proven = proven
        # Tokens of the prompt that were cached before a grammar was tried with it.
        self._cached: int | None = None

    async def of(self, request: ChatRequest, judge: Judge) -> AsyncGenerator[Delta, None]:
        """InvalidRequest before the first delta if a schema cannot be enforced."""
        async with aclosing(self._chosen(request, judge)) as deltas:
            async for delta in deltas:
                yield self._as_counted(delta)

    def _chosen(self, request: ChatRequest, judge: Judge) -> AsyncGenerator[Delta, None]:
        if must_call(request):
            return self._called(request)
        if request.json_schema is not None:
            free = request.tools and request.tool_choice.mode == "auto"
            return self._called_or_answered(request) if free else self._answered(request)
        return self._strictly_chatted(request, judge) if judge.needed else self._chatted(request)

    async def _chatted(self, request: ChatRequest, grammar: str | None = None) -> AsyncGenerator[Delta, None]:
        """llama.cpp's own chat: its template, its reading of tool calls and of reasoning."""
        body = {
            **chat_body(replace(request, json_schema=None)),
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            "parallel_tool_calls": True,
            **self._lora,
        }
        if grammar is not None:
            body["grammar"] = grammar
        if body.pop("stop", None):
            # A stop string is looked for here, because the chat interface does not say whether it met one; cutting the
            # answer there means that the counts must come with each chunk.
            body["timings_per_token"] = True
        try:
            async with aclosing(self._streamed(request, body)) as deltas:
                async for delta in deltas:
                    yield delta
        except InvalidRequest:
            if not body.get("tools"):
                raise
            # It refuses tools whose schemas it cannot read, before anything is said: then the model alone reads them.
            body["tools"] = [tool_body(told(tool)) for tool in request.tools]
            async with aclosing(self._streamed(request, body)) as deltas:
                async for delta in deltas:
                    yield delta

    async def _streamed(self, request: ChatRequest, body: Mapping[str, Any]) -> AsyncGenerator[Delta, None]:
        sampling = request.sampling
        names = [tool.name for tool in request.tools]
        chunks = Chunks(stops=sampling.stop, tools=names, max_tokens=sampling.max_tokens)
        async with aclosing(self._http.events("/chat/completions", body)) as arrived:
            async for events in arrived:
                for delta in chunks.read(events):
                    yield delta
                if chunks.done:
                    break
        for delta in chunks.finish():
            yield delta

    async def _answered(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """An answer that fits the schema, after thoughts where the model has some."""
        assert request.json_schema is not None
        without = replace(request, tools=(), messages=tuple(map(without_images, request.messages)))
        prompt = await self.prompt(without)
        grammar = answer_grammar(request.json_schema, self._thoughts(prompt))
        await self.prove(prompt, grammar)
        async with aclosing(self._chatted(replace(request, tools=()), grammar)) as deltas:
            async for delta in deltas:
                yield delta

    async def _called(self, request: ChatRequest, index: int = 0) -> AsyncGenerator[Delta, None]:
        """One call of a tool, whatever the model's quality. `index`: its number in the answer."""
        grammar = call_grammar(callable_tools(request))
        prompt = await self.call_prompt(request)
        await self.prove(prompt, grammar)
        # A stop sequence is for what the model says; a call is not said.
        body = {"prompt": prompt, **native_body(replace(request.sampling, stop=())), "grammar": grammar}
        reader = CallReader(index)
        async with aclosing(self.completed(body)) as deltas:
            async for delta in deltas:
                for piece in _read(reader, delta):
                    yield piece

    async def _called_or_answered(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """A call of a tool or an answer that fits the schema, as the model likes; the first letter shows which it is."""
        assert request.json_schema is not None
        grammar = call_or_answer_grammar(request.tools, request.json_schema)
        prompt = await self.prompt(request, thinking=False)
        await self.prove(prompt, grammar)
        reader: CallReader | None = None
        begun = ""
        async with aclosing(
            self.completed({"prompt": prompt, **native_body(request.sampling), "grammar": grammar})
        ) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta) and len(begun) < len(CALL):
                    begun += delta.text
                    if CALL.startswith(begun[: len(CALL)]):
                        reader = reader or CallReader()
                        delta = TextDelta(begun[len(CALL) :])
                for piece in [delta] if reader is None else _read(reader, delta):
                    yield piece

    async def _strictly_chatted(self, request: ChatRequest, judge: Judge) -> AsyncGenerator[Delta, None]:
        """A chat whose calls of strict tools fit.

        llama.cpp's own reading of tools holds a call to most of its schema: the few that miss it are written anew.
        """
        said, held = "", list[Delta]()
        async with aclosing(self._chatted(request)) as deltas:
            async for delta in deltas:
                if held or isinstance(delta, ToolCallStart):
                    held.append(delta)
                else:
                    said += delta.text if isinstance(delta, TextDelta) else ""
                    yield delta
        first = missed(held, judge)
        for delta in held[:first]:
            yield delta
        if first is not None:
            async with aclosing(self._written_anew(request, said, held[first:])) as deltas:
                async for delta in deltas:
                    yield delta

    async def _written_anew(
        self, request: ChatRequest, said: str, spoilt: Sequence[Delta]
    ) -> AsyncGenerator[Delta, None]:
        """The call that `spoilt` begins with, after what was `said`; its last delta is the whole answer's `Finish`."""
        start, finish = spoilt[0], spoilt[-1]
        assert isinstance(start, ToolCallStart)
        assert isinstance(finish, Finish)
        most, used = request.sampling.max_tokens, finish.usage
        if most is not None and most <= used.output_tokens:
            yield Finish("length", used)
            return
        left = replace(request.sampling, max_tokens=None if most is None else most - used.output_tokens)
        again = replace(
            request,
            messages=continued(request.messages, said),
            tool_choice=ToolChoice("tool", start.name),
            sampling=left,
        )
        async with aclosing(self._called(again, start.index)) as deltas:
            async for delta in deltas:
                yield with_usage(delta, used) if isinstance(delta, Finish) else delta

    def _thoughts(self, prompt: str) -> Thoughts:
        if prompt.rstrip().endswith("<think>"):
            return "open"
        return "may" if "<think>" in self._template else "none"

    async def prove(self, prompt: str, grammar: str) -> None:
        """InvalidRequest if the decoder cannot read the grammar: it would be held to nothing, and would not say so.

        With the very prompt, which is then ready for the answer.
        """
        name = sha256(grammar.encode()).digest()
        if name in self._proven:
            return
        body = {"prompt": prompt, "grammar": probe(grammar), "n_predict": _PROBE_TOKENS, "cache_prompt": True}
        answer = await self._http.post("//completion", {**body, **self._lora, "temperature": 0})
        if not is_held(str(answer.get("content", "")), _PROBE_TOKENS):
            raise InvalidRequest("The JSON schema cannot be enforced: it is too complex, or no value fits it.")
        self._cached = max(0, (answer.get("timings") or {}).get("cache_n") or 0)
        if len(self._proven) >= _MOST_PROVEN:
            self._proven.clear()
        self._proven.add(name)

    def _as_counted(self, delta: Delta) -> Delta:
        """Without what trying the grammar left in the cache."""
        if not isinstance(delta, Finish) or self._cached is None:
            return delta
        return replace(delta, usage=replace(delta.usage, cached_tokens=min(delta.usage.cached_tokens, self._cached)))

    async def prompt(self, request: ChatRequest, *, thinking: bool = True) -> str:
        """The conversation in the model's own template."""
        body: dict[str, Any] = {"messages": messages_of(request.messages)}
        if request.tools and request.tool_choice.mode != "none":
            body["tools"] = [tool_body(tool) for tool in request.tools]
        if not thinking:
            body["chat_template_kwargs"] = {"enable_thinking": False}
        answer = await self._http.post("//apply-template", body)
        if not isinstance(answer.get("prompt"), str):
            raise InvalidRequest("The model's chat template cannot render this conversation.")
        return str(answer["prompt"])

    async def call_prompt(self, request: ChatRequest) -> str:
        """The conversation up to where a call's JSON begins."""
        prompt = await self.prompt(request, thinking=False)
        return f"{prompt}{CALL}" if "<tool_call>" in self._template else prompt

    async def completed(self, body: Mapping[str, Any]) -> AsyncGenerator[Delta, None]:
        """llama.cpp's native completion, which says exactly why it ended."""
        most = body.get("n_predict", -1)
        body = {**body, **self._lora, "stream": True, "cache_prompt": True}
        async with aclosing(self._http.events("//completion", body)) as arrived:
            async for events in arrived:
                for event in events:
                    if text := event.get("content"):
                        yield TextDelta(text)
                    if event.get("stop"):
                        yield _finish(event, most)
                        return
        raise EngineFailed("The model's answer broke off.")

    async def continued(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        """A raw completion."""
        body = {"prompt": request.prompt, **native_body(request.sampling)}
        if request.json_schema is not None:
            body["grammar"] = answer_grammar(request.json_schema)
            await self.prove(request.prompt, body["grammar"])
        async with aclosing(self.completed(body)) as deltas:
            async for delta in deltas:
                yield self._as_counted(delta)


def native_body(sampling: Sampling) -> dict[str, Any]:
    body = sampling_body(sampling)
    body["n_predict"] = body.pop("max_tokens", -1)
    return body


def _read(reader: CallReader, delta: Delta) -> Iterator[Delta]:
    if isinstance(delta, TextDelta):
        yield from reader.feed(delta.text)
    elif isinstance(delta, Finish):
        whole = delta.reason == "stop"
        yield from reader.end(whole=whole)
        yield Finish("tool_calls", delta.usage) if whole else delta


def _finish(event: Mapping[str, Any], most: int) -> Finish:
    timings = event.get("timings") or {}
    cached = max(0, timings.get("cache_n") or 0)
    output = event.get("tokens_predicted") or 0
    usage = Usage(event.get("tokens_evaluated") or cached + (timings.get("prompt_n") or 0), output, cached)
    kind = event.get("stop_type")
    if kind == "word":
        return Finish("stop_sequence", usage, event.get("stopping_word"))
    if kind == "limit":
        return Finish("length" if 0 <= most <= output else "context", usage)
    return Finish("stop", usage)
