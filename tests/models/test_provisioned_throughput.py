"""CreateProvisionedModelThroughput, its siblings, and provisioned models as models."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from outcrop.context import Context
from outcrop.engines.admission import Admission
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, invoke_model
from outcrop.models import throughput
from outcrop.models.catalogue import REFRESH_SECONDS, Catalogue
from outcrop.models.operations.foundation_models import list_foundation_models
from outcrop.models.operations.provisioned_throughput import (
    create_provisioned_model_throughput,
    delete_provisioned_model_throughput,
    get_provisioned_model_throughput,
    list_provisioned_model_throughputs,
    update_provisioned_model_throughput,
)
from outcrop.quotas.quotas import Quotas
from outcrop.settings import ModelSpec, Quota
from outcrop.tags.operations import list_tags_for_resource, tag_resource
from tests.inference import bench as benches
from tests.inference.bench import ACCOUNT, MODEL, NOW, OTHER_ACCOUNT, REGION, Bench, Pool, settings, user

MODEL_ARN = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
UNKNOWN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:provisioned-model/abcdef012345"


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Five places, of which four may be reserved."""
    bench.pool.places = 4
    return bench


def created(ctx: Context, name: str = "team", units: int = 1, **members: Any) -> str:
    request: Any = {"provisionedModelName": name, "modelUnits": units, "modelId": MODEL, **members}
    return create_provisioned_model_throughput(ctx, request)["provisionedModelArn"]


def got(ctx: Context, identifier: str) -> Any:
    return get_provisioned_model_throughput(ctx, {"provisionedModelId": identifier})


def listed(ctx: Context, **members: Any) -> list[str]:
    request: Any = members
    found = list_provisioned_model_throughputs(ctx, request)["provisionedModelSummaries"]
    return [summary["provisionedModelName"] for summary in found]


def refused(call: Any, *arguments: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        call(*arguments, **members)
    return caught.value.code, caught.value.message


def later(ctx: Context, by: timedelta) -> Context:
    return replace(ctx, parts=replace(ctx.parts, clock=lambda: NOW + by))


@pytest.mark.parametrize("model", [MODEL, MODEL_ARN])
def test_create_and_get_by_arn_name_and_id(bench: Bench, model: str) -> None:
    arn = created(bench.ctx, units=3, modelId=model)
    assert arn.startswith(f"arn:aws:bedrock:{REGION}:{ACCOUNT}:provisioned-model/")
    for identifier in (arn, "team", arn.rpartition("/")[2]):
        assert got(bench.ctx, identifier) == {
            "provisionedModelName": "team",
            "provisionedModelArn": arn,
            "modelArn": MODEL_ARN,
            "desiredModelArn": MODEL_ARN,
            "foundationModelArn": MODEL_ARN,
            "modelUnits": 3,
            "desiredModelUnits": 3,
            "status": "InService",
            "creationTime": NOW,
            "lastModifiedTime": NOW,
        }
    assert bench.pool.reserved == {MODEL: {arn.rpartition("/")[2]: 3}}


def test_strangers_do_not_see_it(bench: Bench) -> None:
    arn = created(bench.ctx)
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        assert listed(stranger) == []
        for identifier in (arn, "team"):
            request: Any = {"provisionedModelId": identifier}
            for operation in (
                get_provisioned_model_throughput,
                delete_provisioned_model_throughput,
                update_provisioned_model_throughput,
            ):
                assert refused(operation, stranger, request)[0] == "ResourceNotFoundException"
    assert listed(bench.ctx) == ["team"]


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("nobody.nothing-v1", "ValidationException"),
        (f"us.{MODEL}", "ValidationException"),
        (MODEL_ARN.replace(REGION, "eu-west-1"), "ValidationException"),
        (f"arn:aws:bedrock:{REGION}:{ACCOUNT}:custom-model/a.b/abcdef012345", "ResourceNotFoundException"),
    ],
)
def test_models_of_which_nothing_can_be_reserved(bench: Bench, model: str, code: str) -> None:
    assert refused(created, bench.ctx, modelId=model)[0] == code
    assert listed(bench.ctx) == []


def test_no_more_than_there_is_for_all_accounts_and_regions_together(bench: Bench) -> None:
    created(bench.ctx, "a", 2)
    elsewhere = bench.as_caller(OTHER_ACCOUNT, "eu-west-1")
    created(elsewhere, "b", 1)
    code, message = refused(created, bench.ctx, "c", 2)
    assert code == "ServiceQuotaExceededException"
    assert "2 model units" in message
    assert "1 are free" in message
    arn = created(bench.ctx, "c", 1)
    assert "0 are free" in refused(created, elsewhere, "d", 1)[1]
    delete_provisioned_model_throughput(bench.ctx, {"provisionedModelId": arn})
    created(elsewhere, "d", 1)
    assert sum(bench.pool.reserved[MODEL].values()) == 4


def test_an_engine_without_a_number_of_places(bench: Bench) -> None:
    bench.pool.places = None
    code, message = refused(created, bench.ctx)
    assert code == "ValidationException"
    assert "Set its `concurrency`" in message


def test_a_token_makes_one(bench: Bench) -> None:
    arn = created(bench.ctx, clientRequestToken="t1")
    assert created(bench.ctx, clientRequestToken="t1") == arn
    assert refused(created, bench.ctx, "other", clientRequestToken="t1")[0] == "ValidationException"
    assert created(bench.as_caller(OTHER_ACCOUNT), clientRequestToken="t1") != arn
    assert listed(bench.ctx) == ["team"]


def test_a_token_counts_even_where_nothing_more_is_free(bench: Bench) -> None:
    arn = created(bench.ctx, units=4, clientRequestToken="t1")
    assert created(bench.ctx, units=4, clientRequestToken="t1") == arn


def test_names_are_an_accounts_own(bench: Bench) -> None:
    created(bench.ctx)
    code, message = refused(created, bench.ctx)
    assert (code, "already exists" in message) == ("ValidationException", True)
    created(bench.as_caller(OTHER_ACCOUNT))
    created(bench.as_caller(region="eu-west-1"))


def test_rename(bench: Bench) -> None:
    arn = created(bench.ctx, "old")
    created(bench.ctx, "taken")
    ctx = later(bench.ctx, timedelta(hours=1))

    def renamed(identifier: str, name: str) -> Any:
        return update_provisioned_model_throughput(
            ctx, {"provisionedModelId": identifier, "desiredProvisionedModelName": name}
        )

    assert renamed("old", "new") == {}
    found = got(bench.ctx, "new")
    assert (found["provisionedModelArn"], found["lastModifiedTime"]) == (arn, NOW + timedelta(hours=1))
    assert refused(got, bench.ctx, "old")[0] == "ResourceNotFoundException"
    assert refused(renamed, arn, "taken")[0] == "ValidationException"
    assert renamed(arn, "new") == {}


@pytest.mark.parametrize("members", [{}, {"desiredModelId": MODEL}, {"desiredModelId": "a.b"}])
def test_a_base_model_is_not_exchanged(bench: Bench, members: Any) -> None:
    created(bench.ctx)
    request: Any = {"provisionedModelId": "team", **members}
    assert refused(update_provisioned_model_throughput, bench.ctx, request)[0] == "ValidationException"


@pytest.mark.parametrize(
    ("commitment", "ends"),
    [
        ("OneMonth", datetime(2026, 12, 24, 12, 0, 0, 123000, tzinfo=UTC)),
        ("SixMonths", datetime(2027, 5, 24, 12, 0, 0, 123000, tzinfo=UTC)),
    ],
)
def test_what_is_committed_is_committed_again_when_its_term_ends(bench: Bench, commitment: str, ends: datetime) -> None:
    arn = created(bench.ctx, commitmentDuration=commitment)
    months = throughput.MONTHS[cast("throughput.Commitment", commitment)]
    again, much_later = throughput.months_after(NOW, 2 * months), throughput.months_after(NOW, 20 * months)
    for moment, until in (
        (NOW, ends),
        (ends - timedelta(milliseconds=1), ends),
        (ends, again),
        (again - timedelta(milliseconds=1), again),
        (much_later - timedelta(days=1), much_later),
    ):
        ctx = later(bench.ctx, moment - NOW)
        found = got(ctx, arn)
        assert (found["commitmentDuration"], found["commitmentExpirationTime"]) == (commitment, until)
        code, message = refused(delete_provisioned_model_throughput, ctx, {"provisionedModelId": arn})
        assert (code, until.isoformat(timespec="seconds") in message) == ("ConflictException", True)
    assert listed(bench.ctx) == ["team"]


def test_a_term_that_begins_on_the_31st(bench: Bench) -> None:
    """It ends on the last day of a shorter month, and the one after it on the 31st again."""
    began = datetime(2027, 1, 31, 12, tzinfo=UTC)
    arn = created(later(bench.ctx, began - NOW), commitmentDuration="OneMonth")
    for day, until in (("2027-02-15", "2027-02-28"), ("2027-03-01", "2027-03-31"), ("2027-03-31", "2027-04-30")):
        moment = datetime.fromisoformat(f"{day}T13:00:00+00:00")
        assert got(later(bench.ctx, moment - NOW), arn)["commitmentExpirationTime"].date().isoformat() == until


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [("2027-01-31", 1, "2027-02-28"), ("2028-01-31", 1, "2028-02-29"), ("2026-08-31", 6, "2027-02-28"),
     ("2026-12-05", 1, "2027-01-05"), ("2026-06-30", 6, "2026-12-30")],
)  # fmt: skip
def test_months(day: str, months: int, expected: str) -> None:
    moment = datetime.fromisoformat(f"{day}T23:59:59+00:00")
    assert throughput.months_after(moment, months) == datetime.fromisoformat(f"{expected}T23:59:59+00:00")


def test_tags_come_and_go_with_it(bench: Bench) -> None:
    tags: Any = [{"key": "a", "value": "1"}]
    arn = created(bench.ctx, tags=tags)
    assert list_tags_for_resource(bench.ctx, {"resourceARN": arn}) == {"tags": tags}
    tag_resource(bench.ctx, {"resourceARN": arn, "tags": [{"key": "a", "value": "2"}]})
    delete_provisioned_model_throughput(bench.ctx, {"provisionedModelId": "team"})
    assert bench.ctx.database.query("SELECT * FROM tags") == []
    assert refused(list_tags_for_resource, bench.ctx, {"resourceARN": arn})[0] == "ResourceNotFoundException"
    assert refused(created, bench.ctx, tags=[{"key": "aws:a", "value": ""}])[0] == "ValidationException"
    assert listed(bench.ctx) == []


def test_list_filters_sorts_and_pages(bench: Bench) -> None:
    bench.pool.places = 10
    for number, name in enumerate(["alpha-1", "beta-1", "alpha-2", "beta-2", "gamma"]):
        created(later(bench.ctx, timedelta(minutes=number)), name)
    created(bench.as_caller(OTHER_ACCOUNT), "alpha-9")
    ascending = ["alpha-1", "beta-1", "alpha-2", "beta-2", "gamma"]
    assert listed(bench.ctx) == listed(bench.ctx, sortBy="CreationTime", sortOrder="Descending") == ascending[::-1]
    assert listed(bench.ctx, sortOrder="Ascending") == ascending
    assert listed(bench.ctx, nameContains="alpha", sortOrder="Ascending") == ["alpha-1", "alpha-2"]
    assert listed(bench.ctx, creationTimeAfter=NOW + timedelta(minutes=3)) == ["gamma", "beta-2"]
    assert listed(bench.ctx, creationTimeBefore=NOW + timedelta(minutes=1)) == ["beta-1", "alpha-1"]
    assert len(listed(bench.ctx, modelArnEquals=MODEL_ARN)) == 5
    assert listed(bench.ctx, modelArnEquals=MODEL_ARN.replace(MODEL, "a.b")) == []
    for order in ("Ascending", "Descending"):
        found, token = [], None
        while True:
            request: Any = {"maxResults": 2, "sortOrder": order, **({"nextToken": token} if token else {})}
            page = list_provisioned_model_throughputs(bench.ctx, request)
            found += [summary["provisionedModelName"] for summary in page["provisionedModelSummaries"]]
            if (token := page.get("nextToken")) is None:
                break
        assert found == (ascending if order == "Ascending" else ascending[::-1])
    first: Any = {"maxResults": 1}
    token = list_provisioned_model_throughputs(bench.ctx, first)["nextToken"]
    assert refused(listed, bench.ctx, nextToken=token, nameContains="a")[0] == "ValidationException"
    assert refused(listed, bench.as_caller(OTHER_ACCOUNT), nextToken=token)[0] == "ValidationException"


def test_it_answers_by_arn_and_name_under_its_reservation(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    under: list[str | None] = []
    monkeypatch.setattr("outcrop.inference.watching.ask_under", under.append)
    arn = created(bench.ctx)
    own = arn.rpartition("/")[2]
    for identifier in (arn, "team"):
        answer = bench.call(converse, modelId=identifier, messages=[user("Hi")])
        assert answer["stopReason"] == "end_turn"
    body = (
        b'{"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}'
    )
    bench.call(invoke_model, modelId=arn, body=body)
    bench.call(converse, messages=[user("Hi")])
    assert under == [own, own, own, None]
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        bench.ctx = stranger
        for identifier, code in ((arn, "ResourceNotFoundException"), ("team", "ValidationException")):
            assert refused(bench.call, converse, modelId=identifier, messages=[user("Hi")])[0] == code


def test_it_answers_no_more_once_it_is_deleted(bench: Bench) -> None:
    arn = created(bench.ctx)
    assert delete_provisioned_model_throughput(bench.ctx, {"provisionedModelId": arn}) == {}
    assert refused(delete_provisioned_model_throughput, bench.ctx, {"provisionedModelId": arn})[0] == (
        "ResourceNotFoundException"
    )
    code, message = refused(bench.call, converse, modelId=arn, messages=[user("Hi")])
    assert (code, arn in message) == ("ResourceNotFoundException", True)


def test_a_model_and_an_alias_of_the_same_name_count_before_it(tmp_path: Path) -> None:
    chosen = settings(
        models=(ModelSpec(id=MODEL, engine="scripted"), ModelSpec(id="plain", engine="scripted")),
        aliases={"exact": MODEL, "*": MODEL},
    )
    bench = benches.bench(tmp_path, chosen=chosen)
    bench.pool.places = 4
    arns = {name: created(bench.ctx, name) for name in ("plain", "exact", "other")}
    resolve = bench.ctx.catalogue.resolve
    found = {name: resolve(name, account=ACCOUNT, region=REGION).reservation for name in arns}
    assert found == {"plain": None, "exact": None, "other": arns["other"].rpartition("/")[2]}


def test_quotas_are_of_on_demand_requests(bench: Bench) -> None:
    quotas = Quotas([Quota(requests_per_minute=1)], bench.ctx.database)
    bench.ctx = replace(bench.ctx, parts=replace(bench.ctx.parts, quotas=quotas))
    arn = created(bench.ctx)
    for _ in range(3):
        bench.call(converse, modelId=arn, messages=[user("Hi")])
    bench.call(converse, messages=[user("Hi")])
    assert refused(bench.call, converse, messages=[user("Hi")])[0] == "ThrottlingException"
    bench.call(converse, modelId=arn, messages=[user("Hi")])


def again(bench: Bench, places: int | None, **changes: Any) -> tuple[Context, Pool]:
    """The same database after a restart."""
    pool = Pool(bench.pool.engines)
    pool.places = places
    catalogue = Catalogue(settings(**changes), bench.ctx.database, cast(Any, pool))
    return replace(bench.ctx, parts=replace(bench.ctx.parts, catalogue=catalogue, engines=cast(Any, pool))), pool


def test_it_holds_after_a_restart(bench: Bench) -> None:
    arn = created(bench.ctx, units=2)
    ctx, pool = again(bench, 4)
    assert pool.reserved == {MODEL: {arn.rpartition("/")[2]: 2}}
    assert ctx.catalogue.resolve(arn, account=ACCOUNT, region=REGION).reservation == arn.rpartition("/")[2]


def test_where_less_room_is_left_the_oldest_keep_theirs(bench: Bench) -> None:
    first, second = created(bench.ctx, "first", 2), created(later(bench.ctx, timedelta(minutes=1)), "second", 2)
    ctx, pool = again(bench, 3)
    assert pool.reserved == {MODEL: {first.rpartition("/")[2]: 2}}
    assert [got(ctx, arn)["status"] for arn in (first, second)] == ["InService", "Failed"]
    assert "1 are free" in got(ctx, second)["failureMessage"]
    assert listed(ctx, statusEquals="Failed") == ["second"]
    assert listed(ctx, statusEquals="InService") == ["first"]
    code, message = refused(ctx.catalogue.resolve, second, account=ACCOUNT, region=REGION)
    assert (code, "not in service" in message) == ("ServiceUnavailableException", True)
    # What failed takes nothing from others.
    created(ctx, "third", 1)


@pytest.mark.parametrize(
    ("places", "changes", "problem"),
    [
        (None, {}, "no known number"),
        (4, {"models": (ModelSpec(id="other.model", engine="scripted"),)}, "not in the catalogue any more"),
    ],
)
def test_a_model_that_is_gone_or_lost_its_limit(bench: Bench, places: int | None, changes: Any, problem: str) -> None:
    arn = created(bench.ctx)
    ctx, pool = again(bench, places, **changes)
    assert pool.reserved == {}
    found = got(ctx, arn)
    assert found["status"] == "Failed"
    assert problem in found["failureMessage"]
    assert delete_provisioned_model_throughput(ctx, {"provisionedModelId": arn}) == {}


def test_other_servers_on_the_database_keep_the_places_too(bench: Bench) -> None:
    ctx, pool = again(bench, 4)
    arn = created(bench.ctx, units=3)
    assert pool.reserved == {}

    async def soon() -> None:
        await asyncio.sleep(2 * REFRESH_SECONDS)

    asyncio.run(soon())
    # Any request, of whomever, before it is let in.
    ctx.catalogue.resolve(MODEL, account=OTHER_ACCOUNT, region=REGION)
    assert pool.reserved == {MODEL: {arn.rpartition("/")[2]: 3}}
    delete_provisioned_model_throughput(ctx, {"provisionedModelId": arn})
    assert pool.reserved == {}


def test_an_alias_that_moves_takes_its_reservation_along(tmp_path: Path) -> None:
    specs = (ModelSpec(id="a.one", engine="scripted"), ModelSpec(id="a.two", engine="scripted"))
    bench = benches.bench(tmp_path, chosen=settings(models=specs, aliases={"the.model": "a.one"}))
    bench.pool.places = 4
    own = created(bench.ctx, modelId="the.model").rpartition("/")[2]
    assert bench.pool.reserved == {"a.one": {own: 1}}
    _, pool = again(bench, 4, models=specs, aliases={"the.model": "a.two"})
    assert pool.reserved == {"a.two": {own: 1}}


def test_models_say_whether_they_can_be_reserved(bench: Bench) -> None:
    (summary,) = list_foundation_models(bench.ctx, {"byInferenceType": "PROVISIONED"})["modelSummaries"]
    assert summary["inferenceTypesSupported"] == ["ON_DEMAND", "PROVISIONED"]
    for places in (None, 0):
        bench.pool.places = places
        assert list_foundation_models(bench.ctx, {"byInferenceType": "PROVISIONED"})["modelSummaries"] == []


def test_what_the_catalogue_keeps_the_admission_can_keep(bench: Bench) -> None:
    created(bench.ctx, "a", 3)
    created(bench.ctx, "b", 1)
    admission = Admission(MODEL, 5)
    admission.reserve(bench.pool.reserved[MODEL])
    assert admission.reserved == 4
