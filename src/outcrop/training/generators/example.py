"""What a generator makes, and how an answer to it is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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
    """Runs the answer's code and the test in a process of its own, isolated mode, two seconds of CPU at most."""
    code = answer.replace("```python", "").replace("```", "")
    try:
        done = subprocess.run(  # noqa: S603 - the model's code runs nowhere else
            [sys.executable, "-I", "-S", "-c", f"{_LIMITS}\n{code}\n{test}\n"],
            check=False, timeout=5, capture_output=True, stdin=subprocess.DEVNULL, env={},
        )  # fmt: skip
    except (subprocess.TimeoutExpired, ValueError):
        return False
    return done.returncode == 0


_LIMITS = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
"""
