"""docs/clients.md as data: how its server is set up, and for each section what is installed, run and printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).parents[2] / "docs" / "clients.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSTALL = re.compile(r"`(pip|npm) install ([^`]+)`")


@dataclass(frozen=True)
class Snippet:
    """`installed` are the names after `pip install` or `npm install`; `language` is python, js or sh; `printed` its output."""

    title: str
    manager: str
    installed: tuple[str, ...]
    language: str
    code: str
    printed: str


@dataclass(frozen=True)
class Page:
    """`settings` is the settings file of the server, `variables` the options of `outcrop env`."""

    settings: str
    variables: tuple[str, ...]
    snippets: tuple[Snippet, ...]


def read() -> Page:
    opening, *sections = re.split(r"^## ", PATH.read_text("utf-8"), flags=re.MULTILINE)
    blocks = dict(_FENCE.findall(opening))
    evaluated = re.search(r"\$\(outcrop env ([^)]*)\)", opening)
    assert evaluated is not None, "the page does not say how its environment is made"
    snippets = tuple(snippet for section in sections for snippet in _snippets(section))
    return Page(blocks["toml"], tuple(shlex.split(evaluated[1])), snippets)


def _snippets(section: str) -> Iterator[Snippet]:
    """Code and what it prints come in pairs; a section without code has none."""
    title = section.partition("\n")[0]
    blocks = _FENCE.findall(section)
    if not blocks:
        return
    install = _INSTALL.search(section)
    assert install is not None, f"{title}: nothing says what to install"
    for i in range(0, len(blocks), 2):
        (language, code), (kind, printed) = blocks[i : i + 2]
        assert kind == "text", f"{title}: no text block says what the code prints"
        name = title if i == 0 else f"{title} {i // 2 + 1}"
        yield Snippet(name, install[1], tuple(shlex.split(install[2])), language, code, printed)
