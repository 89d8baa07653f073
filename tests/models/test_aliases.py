"""Aliases: which one answers, and what cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from outcrop.models.aliases import Alias, AliasError, check, collect, put, remove, stored
from outcrop.store.database import Database
from tests.stores import store_at


def test_exact_beats_patterns_and_the_longer_pattern_the_shorter() -> None:
    found = collect({"a.*": "short", "a.b*": "long", "a.bc": "exact", "*": "any"}, [])
    assert [found.find(name) for name in ("a.bc", "a.bd", "a.x", "z")] == ["exact", "long", "short", "any"]


def test_profiles_are_meant_by_aliases_for_their_models() -> None:
    found = collect({"a.b": "bare", "us.a.b": "profile", "c.*": "pattern"}, [])
    assert [found.find(name) for name in ("us.a.b", "eu.a.b", "global.c.d", "us-gov.c.d")] == [
        "profile", "bare", "pattern", "pattern",
    ]  # fmt: skip
    assert found.find("mars.a.b") is None


def test_run_time_wins_over_the_settings() -> None:
    assert collect({"a": "old"}, [Alias("a", "new", "run time")]).find("a") == "new"


def test_a_star_is_the_only_sign_with_a_meaning() -> None:
    found = collect({"a.b-*:0": "m"}, [])
    assert found.find("a.b-x:0") == "m"
    assert found.find("axb-x:0") is None
    assert found.find("a.b-x:01") is None


def test_put_replace_remove(tmp_path: Path) -> None:
    database = Database.open(store_at(tmp_path))
    put(database, "a", "m")
    put(database, "a", "n")
    assert stored(database) == [Alias("a", "n", "run time")]
    assert remove(database, "a")
    assert not remove(database, "a")
    assert stored(database) == []


@pytest.mark.parametrize("pattern", ["", "a b", "a/b", "ä", "a" * 257, "m"])
def test_what_cannot_be_an_alias(pattern: str) -> None:
    with pytest.raises(AliasError):
        check(pattern, "m")
