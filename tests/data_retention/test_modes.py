"""What a mode says is what is kept: rows, jobs' lines, models elsewhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from outcrop import jobs
from outcrop.compatible.openai import response_store
from outcrop.data_retention import operations
from outcrop.errors import AccessDeniedException, AwsError
from outcrop.jobs import claims
from outcrop.settings import ChoiceSpec, ModelSpec
from tests.inference import bench as benches
from tests.inference.bench import ACCOUNT, MODEL, NOW, OTHER_ACCOUNT, REGION, Bench

ELSEWHERE, TRUSTED, MIXED, BESIDE = "far.away-v1", "far.trusted-v1", "far.mixed-v1", "near.by-v1"
FAR, NEAR = "https://models.example/v1", "http://127.0.0.1:1/v1"
RESPONSE: dict[str, Any] = {"id": "resp_1", "model": MODEL, "previous_response_id": None, "output": []}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    specs = (
        ModelSpec(id=MODEL, engine="scripted"),
        ModelSpec(id=ELSEWHERE, engine="openai", url=FAR),
        ModelSpec(id=TRUSTED, engine="openai", url=FAR, zero_retention=True),
        ModelSpec(
            id=MIXED,
            engines=(ChoiceSpec(engine="scripted"), ChoiceSpec(engine="openai", url=FAR, fallback=True)),
        ),
        ModelSpec(id=BESIDE, engine="openai", url=NEAR),
    )
    return benches.bench(tmp_path, chosen=benches.settings(models=specs))


def put(bench: Bench, mode: str) -> None:
    assert operations.put_account_data_retention(bench.ctx, {"mode": mode}) == {"mode": mode, "updatedAt": NOW}


def kept(bench: Bench) -> int:
    rows = bench.ctx.database.query("SELECT id FROM responses WHERE account_id = ?", bench.ctx.account)
    return len(rows)


def test_the_mode_is_of_one_account_and_region(bench: Bench) -> None:
    assert operations.get_account_data_retention(bench.ctx, {}) == {"mode": "default"}
    for mode in ("aws_review", "provider_data_share", "inherit", "none"):
        put(bench, mode)
        assert operations.get_account_data_retention(bench.ctx, {}) == {"mode": mode, "updatedAt": NOW}
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        assert operations.get_account_data_retention(stranger, {}) == {"mode": "default"}


def test_what_was_kept_goes_and_nothing_more_is_kept(bench: Bench) -> None:
    other, own = bench.as_caller(OTHER_ACCOUNT), bench.ctx
    response_store.save(own, [], RESPONSE)
    response_store.save(other, [], {**RESPONSE, "id": "resp_2"})
    put(bench, "default")
    assert kept(bench) == 1
    put(bench, "none")
    assert kept(bench) == 0
    # One that was asked for before the mode changed, and ends after it.
    response_store.save(own, [], RESPONSE)
    assert kept(bench) == 0
    assert not response_store.wanted(own, None)
    assert not response_store.wanted(own, False)
    with pytest.raises(AwsError, match="can't be stored under data retention mode 'none'"):
        response_store.wanted(own, True)
    assert response_store.find(other, "resp_2").response["id"] == "resp_2"
    put(bench, "inherit")
    assert response_store.wanted(own, None)


@pytest.mark.parametrize("before", [True, False])
def test_what_ended_jobs_said_is_not_kept(bench: Bench, before: bool) -> None:
    """Whether the mode was set before the job ended or after."""
    database, lease = bench.ctx.database, timedelta(seconds=30)
    if before:
        put(bench, "none")
    with database.transaction() as transaction:
        made = jobs.create(transaction, ACCOUNT, REGION, "sample", {}, now=NOW).job
    job = claims.claim(database, ["sample"], "here", NOW, lease)
    assert job is not None
    hold = claims.Hold(job.id, job.fence)
    with database.transaction() as transaction:
        claims.say(transaction, hold, [(1, NOW, "The capital of France is Paris.")])
    assert len(jobs.lines(database, made.id)) == 1
    with database.transaction() as transaction:
        assert claims.settle(transaction, hold, jobs.completed(), NOW) is not None
    if not before:
        assert len(jobs.lines(database, made.id)) == 1
        put(bench, "none")
    assert jobs.lines(database, made.id) == []


def available(bench: Bench, model_id: str) -> bool:
    try:
        bench.ctx.catalogue.resolve(model_id, account=ACCOUNT, region=REGION)
    except AccessDeniedException as refused:
        return refused.message != "This model is not available under data retention mode 'none'."
    return True


def test_models_that_may_keep_something_elsewhere_are_not_available(bench: Bench) -> None:
    everything = (MODEL, ELSEWHERE, TRUSTED, MIXED, BESIDE)
    assert all(available(bench, model_id) for model_id in everything)
    put(bench, "none")
    assert [model_id for model_id in everything if available(bench, model_id)] == [MODEL, TRUSTED, BESIDE]
    bench.ctx.catalogue.resolve(ELSEWHERE, account=OTHER_ACCOUNT, region=REGION)
    put(bench, "provider_data_share")
    assert all(available(bench, model_id) for model_id in everything)
