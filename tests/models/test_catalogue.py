"""The catalogue: which model an identifier means, and settings that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from outcrop.errors import AwsError
from outcrop.models import aliases
from outcrop.models.catalogue import Catalogue
from outcrop.settings import ModelSpec, SettingsError
from outcrop.store.database import Database
from tests.inference.bench import ABLE, ACCOUNT, MODEL, OTHER_ACCOUNT, REGION, Bench, bench, settings
from tests.stores import store_at

PREFIX = f"arn:aws:bedrock:{REGION}"


def resolved(bench: Bench, identifier: str) -> str:
    return bench.ctx.catalogue.resolve(identifier, account=ACCOUNT, region=REGION).id


def unresolved(bench: Bench, identifier: str) -> bool:
    with pytest.raises(AwsError, match="The provided model identifier is invalid") as caught:
        resolved(bench, identifier)
    return caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    "identifier",
    [
        MODEL, f"us.{MODEL}", f"global.{MODEL}", f"{PREFIX}::foundation-model/{MODEL}",
        f"{PREFIX}:{ACCOUNT}:inference-profile/us.{MODEL}",
    ],
)  # fmt: skip
def test_every_name_of_a_model(bench: Bench, identifier: str) -> None:
    assert resolved(bench, identifier) == MODEL


@pytest.mark.parametrize(
    "identifier",
    [
        "nobody.nothing", f"mars.{MODEL}", f"arn:aws:bedrock:eu-west-1::foundation-model/{MODEL}",
        f"{PREFIX}:{OTHER_ACCOUNT}:inference-profile/us.{MODEL}", f"{PREFIX}:{ACCOUNT}:imported-model/abcdef012345",
        f"{PREFIX}:{ACCOUNT}:application-inference-profile/abcdef012345", "arn:x",
    ],
)  # fmt: skip
def test_names_of_nothing(bench: Bench, identifier: str) -> None:
    assert unresolved(bench, identifier)


def test_prompts_are_refused_with_a_sentence(bench: Bench) -> None:
    with pytest.raises(AwsError, match="Prompts as models are not built"):
        resolved(bench, f"{PREFIX}:{ACCOUNT}:prompt/PROMPT1234")


def test_a_pattern_does_not_answer_for_arns_of_resources(tmp_path: Path) -> None:
    made = bench(tmp_path, chosen=settings(aliases={"*": MODEL}))
    assert resolved(made, "anthropic.claude-x") == MODEL
    assert resolved(made, f"{PREFIX}::foundation-model/anthropic.claude-x") == MODEL
    imported = f"{PREFIX}:{ACCOUNT}:imported-model/abcdef012345"
    assert unresolved(made, imported)
    aliases.put(made.ctx.database, imported, MODEL)
    assert resolved(made, imported) == MODEL


def test_another_process_sets_an_alias(bench: Bench, tmp_path: Path) -> None:
    assert unresolved(bench, "a.b")
    other = Database.open(store_at(tmp_path))
    aliases.put(other, "a.*", MODEL)
    assert resolved(bench, "a.b") == MODEL
    aliases.remove(other, "a.*")
    bench.ctx.catalogue.refresh()
    assert unresolved(bench, "a.b")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aliases": {"a.b": "nobody.nothing"}}, "names nobody.nothing, which is not a model here"),
        ({"aliases": {"a b": MODEL}}, "is no alias"),
        ({"models": (ModelSpec(id="a/b", engine="scripted"),)}, "is no model id"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        bench(tmp_path, chosen=settings(**changes))


def test_a_model_that_was_broken_is_asked_again(bench: Bench) -> None:
    bench.pool.broken.add(MODEL)
    with pytest.raises(AwsError, match="the file is damaged"):
        resolved(bench, MODEL)
    bench.pool.broken.clear()
    assert resolved(bench, MODEL) == MODEL


def test_limits_come_from_the_settings_or_the_engine(tmp_path: Path) -> None:
    spec = ModelSpec(id=MODEL, engine="scripted", max_output_tokens=100)
    chosen = settings(models=(spec,))
    made = bench(tmp_path, chosen=chosen)
    model = Catalogue(chosen, made.ctx.database, cast(Any, made.pool)).resolve(MODEL, account=ACCOUNT, region=REGION)
    assert (model.max_output_tokens, model.default_max_tokens) == (100, 100)


def test_what_an_engine_learns_at_its_start_is_known(bench: Bench) -> None:
    before = bench.ctx.catalogue.resolve(MODEL, account=ACCOUNT, region=REGION)
    bench.engine.able = replace(ABLE, context_tokens=100, count_tokens=False)
    after = bench.ctx.catalogue.resolve(MODEL, account=ACCOUNT, region=REGION)
    assert (before.max_output_tokens, after.max_output_tokens) == (4096, 100)
    assert not after.capabilities.count_tokens
