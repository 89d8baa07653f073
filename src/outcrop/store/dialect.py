"""Our SQL in PostgreSQL's words. What a text, a name in quotes or a comment holds is left as it is."""

from __future__ import annotations

import re
from functools import lru_cache

_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/"""
_PLACEHOLDERS = re.compile(rf"(?s)(?P<quoted>{_QUOTED})|\?")
_TYPES = re.compile(rf"(?s)(?P<quoted>{_QUOTED})|\b(?:INTEGER|REAL|BLOB|TEXT)\b")
_DEFINITION = re.compile(r"(?s)(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:CREATE|ALTER)\s+TABLE\b", re.IGNORECASE)

# SQLite's integers and reals have eight bytes, and it sorts and compares texts by their code points.
_WORDS = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "BLOB": "BYTEA", "TEXT": 'TEXT COLLATE "C"'}


@lru_cache(maxsize=1024)
def placeholders(sql: str) -> str:
    """`?` as `%s`, and what psycopg would take for a placeholder doubled."""
    return _PLACEHOLDERS.sub(lambda found: found["quoted"] or "%s", sql.replace("%", "%%"))


def definition(sql: str) -> str:
    """The types of a CREATE TABLE or ALTER TABLE statement; others stay as they are."""
    if _DEFINITION.match(sql) is None:
        return sql
    return _TYPES.sub(lambda found: found["quoted"] or _WORDS[found[0]], sql)
