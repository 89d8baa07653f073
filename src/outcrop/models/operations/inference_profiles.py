"""CreateInferenceProfile, GetInferenceProfile, ListInferenceProfiles, DeleteInferenceProfile.

System-defined profiles (`us.` + model id) exist for every model and for every alias with such a name; application
profiles are an account's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

import orjson

from outcrop.context import Context
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.identity import arns
from outcrop.models import profiles
from outcrop.models.identifiers import geography_of, parse, without_geography
from outcrop.models.model import Model
from outcrop.models.profiles import Profile
from outcrop.shapes.bedrock import (
    CreateInferenceProfileRequest,
    CreateInferenceProfileResponse,
    DeleteInferenceProfileRequest,
    DeleteInferenceProfileResponse,
    GetInferenceProfileRequest,
    GetInferenceProfileResponse,
    InferenceProfileSummary,
    ListInferenceProfilesRequest,
    ListInferenceProfilesResponse,
)
from outcrop.store.ids import new_id
from outcrop.store.paging import page
from outcrop.tags import tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

TAGGABLE["application-inference-profile"] = lambda ctx, names: (
    profiles.find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None
)


@bedrock
def create_inference_profile(ctx: Context, request: CreateInferenceProfileRequest) -> CreateInferenceProfileResponse:
    source = _source(ctx, request["modelSource"].get("copyFrom", ""))
    profile = _new(ctx, request, source)
    with ctx.database.transaction() as transaction:
        earlier = profile.client_token and profiles.made_with_token(
            transaction, ctx.account, ctx.region, profile.client_token
        )
        if earlier:
            return _made_earlier(earlier, profile)
        profiles.add(transaction, profile)
        tags.add(transaction, profile.arn, request.get("tags", []))
    return {"inferenceProfileArn": profile.arn, "status": "ACTIVE"}


@bedrock
def get_inference_profile(ctx: Context, request: GetInferenceProfileRequest) -> GetInferenceProfileResponse:
    identifier = request["inferenceProfileIdentifier"]
    if (profile := _application(ctx, identifier)) is not None:
        return {**_application_summary(profile)}
    name = parse(identifier)
    ours = name.arn is None or (name.arn.account, name.arn.region) == (ctx.account, ctx.region)
    model = ctx.catalogue.find(name.name) if ours and name.kind in ("id", "inference-profile") else None
    if model is None or without_geography(name.name) is None:
        raise _unknown(identifier)
    return {**_system_summary(name.name, model, ctx)}


@bedrock
def list_inference_profiles(ctx: Context, request: ListInferenceProfilesRequest) -> ListInferenceProfilesResponse:
    kind = request.get("typeEquals")
    system = [] if kind == "APPLICATION" else _system_defined(ctx)
    own = [] if kind == "SYSTEM_DEFINED" else profiles.all_of(ctx.database, ctx.account, ctx.region)
    summaries = [*system, *map(_application_summary, own)]
    found, next_token = page(
        sorted(summaries, key=_position),
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"ListInferenceProfiles {ctx.account} {ctx.region} {kind}",
        key=ctx.parts.vault.subkey("paging"),
        position=_position,
    )
    response: ListInferenceProfilesResponse = {"inferenceProfileSummaries": found}
    if next_token is not None:
        response["nextToken"] = next_token
    return response


@bedrock
def delete_inference_profile(ctx: Context, request: DeleteInferenceProfileRequest) -> DeleteInferenceProfileResponse:
    identifier = request["inferenceProfileIdentifier"]
    profile = _application(ctx, identifier)
    if profile is None:
        if without_geography(parse(identifier).name) is not None:
            raise ValidationException("A system-defined inference profile can't be deleted.")
        raise _unknown(identifier)
    with ctx.database.transaction() as transaction:
        profiles.remove(transaction, profile)
        tags.forget(transaction, profile.arn)
    ctx.catalogue.refresh()
    return {}


def _source(ctx: Context, arn: str) -> str:
    """The ARN to copy from: a foundation model's, or a system-defined profile's."""
    if parse(arn).kind not in ("foundation-model", "inference-profile"):
        raise ValidationException(
            "The modelSource.copyFrom field must be the ARN of a foundation model or of a system-defined "
            "inference profile."
        )
    ctx.catalogue.resolve(arn, account=ctx.account, region=ctx.region)
    return arn


def _new(ctx: Context, request: CreateInferenceProfileRequest, source: str) -> Profile:
    content = orjson.dumps({**request, "clientRequestToken": None}, option=orjson.OPT_SORT_KEYS)
    now = ctx.now()
    return Profile(
        id=new_id(),
        account=ctx.account,
        region=ctx.region,
        name=request["inferenceProfileName"],
        description=request.get("description"),
        source=source,
        client_token=request.get("clientRequestToken"),
        request_hash=hashlib.sha256(content).hexdigest(),
        created_at=now,
        updated_at=now,
    )


def _made_earlier(earlier: Profile, again: Profile) -> CreateInferenceProfileResponse:
    if earlier.request_hash != again.request_hash:
        raise ConflictException("The clientRequestToken was used before with other parameters.")
    return {"inferenceProfileArn": earlier.arn, "status": "ACTIVE"}


def _application(ctx: Context, identifier: str) -> Profile | None:
    """The account's profile of that id or ARN."""
    name = parse(identifier)
    if name.arn is not None and (
        name.kind != "application-inference-profile" or (name.arn.account, name.arn.region) != (ctx.account, ctx.region)
    ):
        return None
    return profiles.find(ctx.database, ctx.account, ctx.region, name.name)


def _application_summary(profile: Profile) -> InferenceProfileSummary:
    source = parse(profile.source)
    model = profile.source
    if source.kind == "inference-profile":
        model = arns.build("foundation-model", profile.region, "", model=without_geography(source.name) or source.name)
    summary: InferenceProfileSummary = {
        "inferenceProfileName": profile.name,
        "createdAt": profile.created_at,
        "updatedAt": profile.updated_at,
        "inferenceProfileArn": profile.arn,
        "models": [{"modelArn": model}],
        "inferenceProfileId": profile.id,
        "status": "ACTIVE",
        "type": "APPLICATION",
    }
    if profile.description is not None:
        summary["description"] = profile.description
    return summary


def _system_defined(ctx: Context) -> Iterator[InferenceProfileSummary]:
    """One for the region's geography and a global one for each model, and the aliases that are named like profiles."""
    for model in ctx.catalogue.models():
        for geography in dict.fromkeys((geography_of(ctx.region), "global")):
            yield _system_summary(f"{geography}.{model.id}", model, ctx)
    for alias, model in ctx.catalogue.exact_aliases():
        if without_geography(alias) not in (None, model.id):
            yield _system_summary(alias, model, ctx)


def _system_summary(profile_id: str, model: Model, ctx: Context) -> InferenceProfileSummary:
    geography = profile_id.partition(".")[0]
    alias = "" if profile_id.endswith(f".{model.id}") else f" (alias {profile_id})"
    return {
        "inferenceProfileName": f"{geography.upper()} {model.name}{alias}",
        "description": f"Answered on this server by {model.id}.",
        "inferenceProfileArn": arns.build("inference-profile", ctx.region, ctx.account, model=profile_id),
        "models": [{"modelArn": model.arn(ctx.region)}],
        "inferenceProfileId": profile_id,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def _position(summary: InferenceProfileSummary) -> str:
    """System-defined profiles first, by id; then the account's, oldest first."""
    created: datetime | None = summary.get("createdAt")
    if created is None:
        return f"0 {summary['inferenceProfileId']}"
    return f"1 {created.isoformat(timespec='milliseconds')} {summary['inferenceProfileId']}"


def _unknown(identifier: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The inference profile {identifier} could not be found.")
