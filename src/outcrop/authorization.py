"""May this request be answered? What an operation needs (identity/actions.py), on the resources that the request names
and those behind them (models/), against what the caller may do (identity/access.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from outcrop.compatible.endpoint import Asking, Endpoint
from outcrop.context import Permit
from outcrop.errors import AccessDeniedException, AwsError, ValidationException
from outcrop.identity import accounts, actions
from outcrop.identity.access import Access, owner_of, refusal
from outcrop.identity.actions import Check, Place
from outcrop.identity.assume_role import trusts
from outcrop.identity.caller import Caller
from outcrop.identity.request_keys import Known, ResourceKeys, known_keys, request_tags
from outcrop.models import profiles, routers
from outcrop.models.catalogue import Catalogue
from outcrop.models.identifiers import parse, without_geography
from outcrop.request import HttpRequest
from outcrop.store.database import Database
from outcrop.tags import tags
from outcrop.wire.model import Operation

# The endpoints of other interfaces, by the operation of Bedrock that they stand for.
_OTHERS: Mapping[str, str] = {
    "openai.ListModels": "bedrock:ListFoundationModels",
    "anthropic.ListModels": "bedrock:ListFoundationModels",
    "openai.GetModel": "bedrock:GetFoundationModel",
    "anthropic.GetModel": "bedrock:GetFoundationModel",
}
_GUARDRAIL_HEADER = "x-amzn-bedrock-guardrailidentifier"


class Authorizer:
    def __init__(self, access: Access, database: Database, catalogue: Catalogue, clock: Callable[[], datetime]) -> None:
        self.access = access
        self._database = database
        self._catalogue = catalogue
        self._clock = clock

    def check(
        self, caller: Caller, operation: Operation, params: Mapping[str, Any], request: HttpRequest, region: str
    ) -> None:
        """AccessDeniedException if the caller may not have the operation done.

        ValidationException if a role of this server that the request hands to Bedrock does not trust it.
        """
        place = self._place(region, caller)
        named = self._named(operation.name, params, place)
        if not self.access.unrestricted(caller) or any(self._foreign(arn, caller) for arn in named):
            self.asked(caller, request, region).require(
                self._checks(operation.name, params, place, named), request_tags(_tags(params))
            )
        for role in actions.roles_in(operation.name, params):
            self._check_trust(role, caller)

    def check_compatible(self, caller: Caller, endpoint: Endpoint, asking: Asking, region: str) -> None:
        """The same for OpenAI's and Anthropic's interfaces. A body that cannot be read is left to the endpoint."""
        if self.access.unrestricted(caller):
            return
        checks = list(self._compatible_checks(endpoint, asking, self._place(region, caller)))
        self.asked(caller, asking.request, region).require(checks, {})

    def asked(self, caller: Caller, request: HttpRequest, region: str) -> Asked:
        """All that is known of the request, to be held against policies."""
        keys = known_keys(caller, self.access.grants(caller.principal_id), request, region, self._clock())
        return Asked(self, caller, keys, self._place(region, caller))

    def permit(self, caller: Caller, request: HttpRequest, region: str) -> Permit:
        """The function that rooms ask for what they find on their way."""

        def require(action: str, resource: str) -> None:
            place = self._place(region, caller)
            foreign = self._foreign(resource, caller)
            if self.access.unrestricted(caller) and not foreign:
                return
            runs = action in (actions.INVOKE, actions.INVOKE_STREAM)
            checks = self.model_checks(action, resource, place) if runs else [Check(action, resource, {})]
            self.asked(caller, request, region).require(checks, {})

        return require

    def tags_of(self, arn: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in tags.of(self._database, arn)}

    def model_checks(self, action: str, identifier: str, place: Place) -> Iterator[Check]:
        """The model and whatever stands between its name and it: a profile or a router needs permission as well."""
        name = parse(identifier)
        if name.kind == "prompt":
            yield Check("bedrock:RenderPrompt", identifier, {})
            return
        named = self._model_arn(identifier, place)
        if ":prompt-router/" in named:
            yield Check(action, named, {})
            router = routers.named(self._database, place.account, place.region, identifier)
            for target in sorted(router.targets) if router is not None else ():
                yield from self._behind(action, target, place, {"bedrock:promptrouterarn": (named,)})
            return
        yield from self._behind(action, identifier, place, {})

    def _behind(
        self, action: str, identifier: str, place: Place, keys: Mapping[str, tuple[str, ...]]
    ) -> Iterator[Check]:
        named = self._model_arn(identifier, place)
        yield Check(action, named, keys, owned=not self._catalogue.is_alias(identifier))
        source = self._source(identifier, place)
        if source is not None:
            keys = {**keys, "bedrock:inferenceprofilearn": (named,)}
            yield Check(action, _foundation_model(source, place), keys)
            if parse(source).name.startswith("global."):
                everywhere = Place("", place.account).arn("foundation-model", _bare(source))
                yield Check(action, everywhere, {**keys, "aws:requestedregion": ("unspecified",)})
        yield from self._answering(action, identifier, place, keys)

    def _source(self, identifier: str, place: Place) -> str | None:
        """What an inference profile was made of: a model or, for an application's, another profile."""
        name = parse(identifier)
        if name.kind == "application-inference-profile":
            profile = profiles.find(self._database, place.account, place.region, name.name)
            return None if profile is None else profile.source
        if name.kind == "inference-profile" or (name.kind == "id" and without_geography(name.name) is not None):
            return identifier
        return None

    def _answering(
        self, action: str, identifier: str, place: Place, keys: Mapping[str, tuple[str, ...]]
    ) -> Iterator[Check]:
        """The model that an alias stands for may be denied by its own name, but need not be allowed by it."""
        try:
            model = self._catalogue.resolve(identifier, account=place.account, region=place.region)
        except AwsError:
            # Whether there is such a model is told after it is known that the caller may ask.
            return
        yield Check(action, model.arn(place.region), keys, deny_only=True)

    def _check_trust(self, role_arn: str, caller: Caller) -> None:
        """A role of somebody else's server is only a name here: nothing is done with its rights."""
        role = accounts.role_of_arn(self._database, role_arn)
        if role is None:
            return
        if role.account != caller.account:
            raise AccessDeniedException(
                f"User: {caller.arn} is not authorized to perform: iam:PassRole on resource: {role_arn}. "
                "Cross-account pass role is not allowed."
            )
        if not trusts(role, actions.SERVICE, {"aws:sourceaccount": (caller.account,)}):
            raise ValidationException(
                f"Could not assume the provided role {role_arn}. Its trust policy must allow {actions.SERVICE} "
                "to perform sts:AssumeRole."
            )

    def _place(self, region: str, caller: Caller) -> Place:
        def find(kind: str, name: str) -> str | None:
            known = actions.NAMES.get(kind)
            return None if known is None else known(self._database, caller.account, region, name)

        return Place(region, caller.account, find)

    def _named(self, operation: str, params: Mapping[str, Any], place: Place) -> Sequence[str]:
        resources = actions.resources_of(operation, params, place)
        model = actions.model_about(operation, params)
        return resources if model is None else [self._model_arn(model, place), *resources]

    def _model_arn(self, identifier: str, place: Place) -> str:
        """What a model is called in policies: by the ARN of a provisioned model where that is its name."""
        found = self._catalogue.provisioned(identifier, account=place.account, region=place.region)
        return _model_arn(identifier, place) if found is None else found.arn

    def _foreign(self, arn: str, caller: Caller) -> bool:
        return arn != "*" and owner_of(arn) not in (None, caller.account) and not self._catalogue.is_alias(arn)

    def _checks(self, operation: str, params: Mapping[str, Any], place: Place, named: Sequence[str]) -> Iterator[Check]:
        action = actions.action_of(operation)
        model = actions.model_about(operation, params)
        keys: dict[str, tuple[str, ...]] = {}
        if model is not None:
            if (tier := actions.tier_of(params)) is not None:
                keys["bedrock:servicetier"] = (tier,)
            guardrail = actions.guardrail_of(operation, params, place)
            if guardrail is not None:
                arn, version = guardrail
                keys["bedrock:guardrailidentifier"] = (arn if version == "DRAFT" else f"{arn}:{version}",)
                yield Check("bedrock:ApplyGuardrail", arn, {})
            for check in self.model_checks(action, model, place):
                yield Check(check.action, check.resource, {**keys, **check.keys}, check.deny_only, check.owned)
            named = named[1:]
        if operation == "PutAccountDataRetention" and "mode" in params:
            keys["bedrock:dataretentionmode"] = (params["mode"],)
        inline = params.get("agentName") if operation == "InvokeInlineAgent" else None
        if isinstance(inline, str):
            keys["bedrock:inlineagentname"] = (inline,)
        yield from (Check(action, arn, keys) for arn in named)
        for run in actions.models_run(operation, params):
            yield from self.model_checks(actions.INVOKE, run, place)
        yield from actions.further(operation, params, place)

    def _compatible_checks(self, endpoint: Endpoint, asking: Asking, place: Place) -> Iterator[Check]:
        if endpoint.name in _OTHERS:
            label = asking.labels.get("id")
            resource = "*" if label is None else _foundation_model(label, place)
            yield Check(_OTHERS[endpoint.name], resource, {})
            return
        body = _body(asking)
        streamed = body.get("stream") is True
        action = actions.INVOKE_STREAM if streamed else actions.INVOKE
        if endpoint.name == "anthropic.CountTokens":
            action = "bedrock:CountTokens"
        model = body.get("model") if asking.request.method == "POST" else self._model_of_response(asking, place)
        keys: dict[str, tuple[str, ...]] = {}
        tier = body.get("service_tier")
        if isinstance(tier, str):
            keys["bedrock:servicetier"] = (tier,)
        if (guardrail := asking.request.header(_GUARDRAIL_HEADER)) is not None:
            arn = place.arn("guardrail", guardrail)
            version = asking.request.header("x-amzn-bedrock-guardrailversion") or "DRAFT"
            keys["bedrock:guardrailidentifier"] = (arn if version == "DRAFT" else f"{arn}:{version}",)
            yield Check("bedrock:ApplyGuardrail", arn, {})
        if not isinstance(model, str):
            # An endpoint that is none, or a request that will be refused: nobody without any right gets further.
            yield Check(action, "*", keys)
            return
        for check in self.model_checks(action, model, place):
            yield Check(check.action, check.resource, {**keys, **check.keys}, check.deny_only, check.owned)

    def _model_of_response(self, asking: Asking, place: Place) -> object:
        """Who may run a model may read what it answered in his account."""
        row = self._database.one(
            "SELECT model, response FROM responses WHERE id = ? AND account_id = ?",
            asking.labels.get("id", ""),
            place.account,
        )
        if row is None or row["model"] is not None:
            return None if row is None else row["model"]
        # Kept by an earlier version, which encrypted nothing.
        return orjson.loads(row["response"]).get("model")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request's caller and condition keys."""

    authorizer: Authorizer
    caller: Caller
    keys: Known
    place: Place

    def require(self, checks: Iterable[Check], more: Mapping[str, tuple[str, ...]]) -> None:
        """Every one of them, and for an API key that it may be used at all. AccessDeniedException for the first refused."""
        if self.caller.kind in ("long-term-key", "short-term-key"):
            self._require(Check(actions.USE_API_KEY, "*", {}), {})
        for check in checks:
            self._require(check, more)

    def _require(self, check: Check, more: Mapping[str, tuple[str, ...]]) -> None:
        authorizer = self.authorizer
        keys = ResourceKeys(self.keys, {**more, **check.keys}, check.resource, authorizer.tags_of)
        access = authorizer.access
        if check.deny_only:
            denied = access.denied(self.caller, check.action, check.resource, keys)
            if denied is not None:
                raise refusal(self.caller, check.action, check.resource, denied)
            return
        owner = owner_of(check.resource) if check.owned else None
        decision = access.decide(self.caller, check.action, check.resource, keys, owner=owner)
        if not decision.allowed:
            raise refusal(self.caller, check.action, check.resource, decision)


def _model_arn(identifier: str, place: Place) -> str:
    """What a model is called in policies: an ARN as it is, a profile's id as a profile, else a foundation model."""
    if identifier.startswith("arn:"):
        return actions.canonical(identifier)
    kind = "foundation-model" if without_geography(identifier) is None else "inference-profile"
    return place.arn(kind, identifier)


def _foundation_model(identifier: str, place: Place) -> str:
    name = parse(identifier)
    return (
        actions.canonical(identifier)
        if name.kind == "foundation-model"
        else place.arn("foundation-model", _bare(identifier))
    )


def _bare(identifier: str) -> str:
    name = parse(identifier).name
    return without_geography(name) or name


def _tags(params: Mapping[str, Any]) -> dict[str, str]:
    found = actions.tags_in(params)
    keys = params.get("tagKeys")
    return {**dict.fromkeys(keys, ""), **found} if isinstance(keys, list) else found


def _body(asking: Asking) -> dict[str, Any]:
    try:
        return asking.body() if asking.request.body else {}
    except AwsError:
        return {}
