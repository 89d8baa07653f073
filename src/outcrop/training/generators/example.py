"""What a generator makes, and how an answer to it is judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from outcrop.evaluation.sandbox.run import Limits, run_program

Message = dict[str, Any]
Check = Literal["exact", "json", "tool", "python", "contains"]


@dataclass(frozen=True, slots=True)
class Example:
    """`messages` are OpenAI-shaped and end with the reference answer; `expected` is what `check` compares with.

    exact: the text, but for case, outer white space and a final full stop. json: an equal JSON value. tool: an equal call,
    `{"name", "arguments"}`. python: a program that must pass after the answer's code ran. contains: each of a list of strings.
    """

    family: str
    messages: list[Message]
    expected: Any
    check: Check
    tools: list[dict[str, Any]] = field(default_factory=list)


def exchange(family: str, question: str, answer: str, *, system: str | None = None) -> Example:
    """The commonest shape: one question, one exact answer."""
    before: list[Message] = [{"role": "system", "content": system}] if system else []
    turns: list[Message] = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Example(family, before + turns, answer, "exact")


def is_right(example: Example, answer: Mapping[str, Any]) -> bool:
    """Whether an assistant message (`content`, perhaps `tool_calls`) answers the example."""
    text = str(answer.get("content") or "")
    if example.check == "tool":
        calls = answer.get("tool_calls") or []
        return len(calls) == 1 and _call(calls[0]) == example.expected
    if answer.get("tool_calls"):
        return False
    if example.check == "exact":
        return _plain(text) == _plain(str(example.expected))
    if example.check == "contains":
        return all(str(part).lower() in text.lower() for part in example.expected)
    if example.check == "json":
        return bool(_json(text) == example.expected)
    return passes(text, str(example.expected))


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").lower()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    return {"name": function["name"], "arguments": _json(arguments) if isinstance(arguments, str) else arguments}


def passes(answer: str, test: str) -> bool:
    """Runs the answer's code and the test in the sandbox. SandboxError on a machine that has none."""
    code = answer.replace("```python", "").replace("```", "")
    return run_program(f"{code}\n{test}\n", _LIMITS).passed


_LIMITS = Limits(seconds=5.0, memory=512 << 20)
