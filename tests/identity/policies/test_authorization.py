"""Which permissions requests need: models through profiles, routers and aliases, guardrails, tags, roles, API keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from outcrop.authorization import Authorizer
from outcrop.compatible import anthropic, openai
from outcrop.compatible.endpoint import Asking, Endpoint
from outcrop.errors import AccessDeniedException, AwsError, ValidationException
from outcrop.identity import accounts, actions
from outcrop.identity.access import Access
from outcrop.identity.actions import Place
from outcrop.identity.caller import Caller, Kind, Session
from outcrop.identity.policies import managed, rows
from outcrop.models.operations.inference_profiles import create_inference_profile
from outcrop.models.operations.prompt_routers import create_prompt_router
from outcrop.request import HttpRequest
from outcrop.settings import ModelSpec, Settings
from outcrop.tags.operations import tag_resource
from outcrop.wire.model import load_services
from tests.inference.bench import ACCOUNT, MODEL, NOW, OTHER_ACCOUNT, REGION, Bench, bench

OPERATIONS = load_services().operations
SECOND = "acme.second-v1:0"
ALIAS = "anthropic.claude-x"
FOREIGN_ALIAS = f"arn:aws:bedrock:{REGION}:{OTHER_ACCOUNT}:provisioned-model/abcdefghijkl"
MESSAGES = [{"role": "user", "content": [{"text": "x"}]}]


def model(name: str, region: str = REGION) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"


def mine(resource: str) -> str:
    return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:{resource}"


class Desk:
    """A server's parts, and users that are made as they are needed."""

    def __init__(self, folder: Path) -> None:
        chosen = Settings(
            house_model=False,
            models=tuple(ModelSpec(id=name, engine="scripted", script="unused") for name in (MODEL, SECOND)),
            aliases={ALIAS: MODEL, FOREIGN_ALIAS: MODEL},
        )
        self.bench: Bench = bench(folder, chosen=chosen)
        self.parts = self.bench.ctx.parts
        self.database = self.parts.database
        with self.database.transaction() as transaction:
            for account in (ACCOUNT, OTHER_ACCOUNT):
                accounts.add_account(transaction, chosen_id=account)
        self.authorizer = Authorizer(Access(self.database), self.database, self.parts.catalogue, lambda: NOW)
        self._made = 0

    def user(
        self,
        *statements: dict[str, Any],
        account: str = ACCOUNT,
        kind: Kind = "sigv4",
        tags: dict[str, str] | None = None,
    ) -> Caller:
        self._made += 1
        with self.database.transaction() as transaction:
            user = accounts.add_user(transaction, account, f"user{self._made}")
            accounts.tag(transaction, user.id, tags or {})
            if statements:
                document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
                rows.attach(transaction, user.id, rows.put(transaction, account, user.name, document).arn)
        return Caller(account, user.arn, user.id, "AKIA", kind, REGION)

    def administrator(self, account: str = ACCOUNT) -> Caller:
        caller = self.user(account=account)
        with self.database.transaction() as transaction:
            rows.attach(transaction, caller.user_id, managed.ADMINISTRATOR)
        return caller

    def session(self, *policies: dict[str, Any], tags: dict[str, str] | None = None, **role: Any) -> Caller:
        """A session of a role that may do everything, or what the statement `allowed` says."""
        self._made += 1
        name = f"role{self._made}"
        with self.database.transaction() as transaction:
            made = accounts.add_role(transaction, ACCOUNT, name, rows.trust_of_account(ACCOUNT))
            arn = managed.ADMINISTRATOR
            if (allowed := role.get("allowed")) is not None:
                document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
                arn = rows.put(transaction, ACCOUNT, name, document).arn
            rows.attach(transaction, made.id, arn)
            accounts.tag(transaction, made.id, role.get("tags_of_role", {}))
        documents = tuple(json.dumps({"Version": "2012-10-17", "Statement": one}) for one in policies)
        session = Session(made.id, made.arn, 0, 0, documents, role.get("policy_arns", ()), tuple((tags or {}).items()))
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/job"
        return Caller(ACCOUNT, arn, f"{made.id}:job", "ASIA", "sigv4", REGION, session)

    def refused(
        self,
        caller: Caller,
        operation: str,
        params: dict[str, Any],
        *,
        service: str = "bedrock",
        request: HttpRequest | None = None,
    ) -> str | None:
        """The message of the refusal, None if there is none."""
        asked = request or HttpRequest("POST", "/", "", [], source_ip="10.1.2.3")
        try:
            self.authorizer.check(caller, OPERATIONS[service, operation], params, asked, REGION)
        except AccessDeniedException as problem:
            return problem.message
        return None

    def converse(self, caller: Caller, name: str, **params: Any) -> str | None:
        asked = {"modelId": name, "messages": MESSAGES, **params}
        return self.refused(caller, "Converse", asked, service="bedrock-runtime")

    def needs(self, name: str) -> list[tuple[str, bool]]:
        place = Place(REGION, ACCOUNT)
        return [
            (check.resource, check.deny_only)
            for check in self.authorizer.model_checks("bedrock:InvokeModel", name, place)
        ]

    def profile(self, source: str = model(MODEL)) -> str:
        made = create_inference_profile(
            self.bench.ctx, {"inferenceProfileName": "team", "modelSource": {"copyFrom": source}}
        )
        return made["inferenceProfileArn"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def allow(action: str | list[str] = "bedrock:*", resource: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def deny(action: str = "*", resource: str = "*", **condition: Any) -> dict[str, Any]:
    return {**allow(action, resource, **condition), "Effect": "Deny"}


def test_a_model_by_its_id_and_by_its_arn(desk: Desk) -> None:
    for name in (MODEL, model(MODEL)):
        assert desk.needs(name) == [(model(MODEL), False), (model(MODEL), True)]


def test_a_profile_needs_itself_and_its_model(desk: Desk) -> None:
    profile = mine(f"inference-profile/us.{MODEL}")
    for name in (f"us.{MODEL}", profile):
        assert desk.needs(name)[:2] == [(profile, False), (model(MODEL), False)]
    application = desk.profile()
    assert desk.needs(application)[:2] == [(application, False), (model(MODEL), False)]
    of_profile = desk.profile(profile)
    assert desk.needs(of_profile)[:2] == [(of_profile, False), (model(MODEL), False)]


def test_a_global_profile_needs_the_model_everywhere_too(desk: Desk) -> None:
    arns = [arn for arn, _ in desk.needs(f"global.{MODEL}")]
    assert arns[:3] == [mine(f"inference-profile/global.{MODEL}"), model(MODEL), model(MODEL, region="")]
    statement = allow("bedrock:InvokeModel", [mine("inference-profile/*"), model("*")])
    assert model(MODEL, region="") in (desk.converse(desk.user(statement), f"global.{MODEL}") or "")
    everywhere = allow(
        "bedrock:InvokeModel", model("*", region=""), StringEquals={"aws:RequestedRegion": "unspecified"}
    )
    assert desk.converse(desk.user(statement, everywhere), f"global.{MODEL}") is None


def test_a_model_through_its_profile_only(desk: Desk) -> None:
    profile = mine(f"inference-profile/us.{MODEL}")
    only = [
        allow("bedrock:InvokeModel", profile),
        allow(
            "bedrock:InvokeModel",
            model("*"),
            StringLike={"bedrock:InferenceProfileArn": mine("inference-profile/us.*")},
        ),
    ]
    caller = desk.user(*only)
    assert desk.converse(caller, f"us.{MODEL}") is None
    assert desk.converse(caller, MODEL) == (
        f"User: {caller.arn} is not authorized to perform: bedrock:InvokeModel on resource: {model(MODEL)} "
        "because no identity-based policy allows the bedrock:InvokeModel action"
    )
    assert desk.converse(desk.user(allow(resource=profile)), f"us.{MODEL}") is not None


def test_a_router_needs_its_models(desk: Desk) -> None:
    router = create_prompt_router(
        desk.bench.ctx,
        {
            "promptRouterName": "r",
            "models": [{"modelArn": model(MODEL)}, {"modelArn": model(SECOND)}],
            "fallbackModel": {"modelArn": model(MODEL)},
            "routingCriteria": {"responseQualityDifference": 10},
        },
    )["promptRouterArn"]
    assert [arn for arn, deny_only in desk.needs(router) if not deny_only] == [router, model(SECOND), model(MODEL)]
    through = [allow(resource=router), allow(resource=model("*"), ArnEquals={"bedrock:PromptRouterArn": router})]
    assert desk.converse(desk.user(*through), router) is None
    assert desk.converse(desk.user(*through), MODEL) is not None
    assert desk.converse(desk.user(*through, deny(resource=model(SECOND))), router) is not None


def test_an_alias_is_allowed_by_its_name_and_denied_by_either(desk: Desk) -> None:
    assert desk.needs(ALIAS) == [(model(ALIAS), False), (model(MODEL), True)]
    by_name = allow(resource=model("anthropic.*"))
    assert desk.converse(desk.user(by_name), ALIAS) is None
    assert desk.converse(desk.user(by_name), MODEL) is not None
    assert "explicit deny" in (desk.converse(desk.user(allow(), deny(resource=model(MODEL))), ALIAS) or "")
    assert "explicit deny" in (desk.converse(desk.user(allow(), deny(resource=model(ALIAS))), ALIAS) or "")


def test_an_arn_that_is_an_alias_belongs_to_nobody_else(desk: Desk) -> None:
    assert desk.converse(desk.administrator(), FOREIGN_ALIAS) is None
    assert desk.converse(desk.user(allow()), FOREIGN_ALIAS) is None
    assert desk.converse(desk.user(), FOREIGN_ALIAS) is not None


@pytest.mark.parametrize(
    "written",
    [
        f"arn:aws-cn:bedrock:{REGION}::foundation-model/{MODEL}",
        f"arn:aws:bedrock:{REGION}:{ACCOUNT}:foundation-model/{MODEL}",
        f"arn:aws-us-gov:bedrock:{REGION}:{OTHER_ACCOUNT}:foundation-model/{MODEL}",
    ],
)
def test_no_deny_is_got_around_by_another_spelling(desk: Desk, written: str) -> None:
    caller = desk.user(allow(), deny(resource=f"arn:aws:bedrock:*::foundation-model/{MODEL}"))
    assert "explicit deny" in (desk.converse(caller, written) or "")
    guardrail = written.replace(f"foundation-model/{MODEL}", "guardrail/abcdefghijkl").replace("::", f":{ACCOUNT}:")
    guardrail = guardrail.replace(OTHER_ACCOUNT, ACCOUNT)
    caller = desk.user(allow(), deny(resource=mine("guardrail/abcdefghijkl")))
    assert "explicit deny" in (desk.refused(caller, "GetGuardrail", {"guardrailIdentifier": guardrail}) or "")


def test_another_accounts_resources_are_refused_whether_they_exist_or_not(desk: Desk) -> None:
    there = desk.profile()
    nowhere = mine("application-inference-profile/zzzzzzzzzzzz")
    for caller in (desk.administrator(OTHER_ACCOUNT), desk.user(allow(), account=OTHER_ACCOUNT)):
        told = [desk.converse(caller, arn) for arn in (there, nowhere)]
        told += [
            desk.refused(caller, "GetInferenceProfile", {"inferenceProfileIdentifier": arn}) for arn in (there, nowhere)
        ]
        told += [desk.refused(caller, "ListTagsForResource", {"resourceARN": arn}) for arn in (there, nowhere)]
        assert all("because no resource-based policy allows" in (message or "") for message in told)
        for one, other in zip(told[::2], told[1::2], strict=True):
            assert str(one).replace(there, nowhere) == other


def test_a_resources_own_policy(desk: Desk) -> None:
    arn = desk.profile()
    theirs = desk.user(allow(), account=OTHER_ACCOUNT)
    powerless, administrator = desk.user(), desk.administrator()
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [OTHER_ACCOUNT, powerless.arn]},
            "Action": "bedrock:Get*",
            "Resource": arn,
        },
        {"Effect": "Deny", "Principal": "*", "Action": "bedrock:DeleteInferenceProfile", "Resource": "*"},
    ]
    with desk.database.transaction() as transaction:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        rows.put_resource_policy(transaction, ACCOUNT, arn, document)
    desk.authorizer = Authorizer(Access(desk.database), desk.database, desk.parts.catalogue, lambda: NOW)
    params = {"inferenceProfileIdentifier": arn}
    for caller in (theirs, powerless, administrator):
        assert desk.refused(caller, "GetInferenceProfile", params) is None
    told = desk.refused(administrator, "DeleteInferenceProfile", params)
    assert "with an explicit deny in a resource-based policy" in (told or "")


def test_guardrails(desk: Desk) -> None:
    arn = mine("guardrail/abcdefghijkl")
    config = {"guardrailIdentifier": "abcdefghijkl", "guardrailVersion": "3"}
    runs = allow("bedrock:InvokeModel")
    assert "bedrock:ApplyGuardrail" in (desk.converse(desk.user(runs), MODEL, guardrailConfig=config) or "")
    both = [runs, allow("bedrock:ApplyGuardrail", arn)]
    assert desk.converse(desk.user(*both), MODEL, guardrailConfig=config) is None
    forced = desk.user(*both, deny("bedrock:InvokeModel*", StringNotEquals={"bedrock:GuardrailIdentifier": f"{arn}:3"}))
    assert desk.converse(forced, MODEL, guardrailConfig=config) is None
    assert "explicit deny" in (desk.converse(forced, MODEL) or "")
    assert "explicit deny" in (desk.converse(forced, MODEL, guardrailConfig={**config, "guardrailVersion": "2"}) or "")
    native = {"modelId": MODEL, "body": b"{}", "guardrailIdentifier": arn, "guardrailVersion": "DRAFT"}
    draft = desk.user(*both, deny("bedrock:Invoke*", StringNotEquals={"bedrock:GuardrailIdentifier": arn}))
    assert desk.refused(draft, "InvokeModel", native, service="bedrock-runtime") is None
    assert desk.refused(forced, "InvokeModel", native, service="bedrock-runtime") is not None


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"bedrock:ServiceTier": "flex"}}, True),
        ({"StringEquals": {"bedrock:ServiceTier": "priority"}}, False),
        ({"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.1.0.0/16"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": (NOW + timedelta(seconds=1)).isoformat()}}, True),
        ({"DateLessThan": {"aws:CurrentTime": NOW.isoformat(timespec="seconds")}}, False),
        ({"NumericGreaterThan": {"aws:EpochTime": "1"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": REGION}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/*"}}, True),
        ({"StringLike": {"aws:username": "user*"}}, True),
        ({"StringLike": {"aws:userid": "AIDA*"}}, True),
        ({"StringEquals": {"aws:PrincipalTag/Team": "red"}}, True),
        ({"StringEquals": {"aws:PrincipalTag/team": "blue"}}, False),
        ({"StringEquals": {"aws:PrincipalType": "User"}}, True),
        ({"Null": {"aws:TokenIssueTime": "true"}}, True),
        ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, True),
        ({"StringEquals": {"bedrock:BearerTokenType": "LONG_TERM"}}, False),
    ],
)
def test_what_is_known_of_a_request(desk: Desk, condition: dict[str, Any], holds: bool) -> None:
    caller = desk.user(allow("bedrock:InvokeModel", "*", **condition), tags={"team": "red"})
    request = HttpRequest("POST", "/", "", [("user-agent", "Boto3/1.44")], source_ip="10.1.2.3")
    params = {"modelId": MODEL, "messages": MESSAGES, "serviceTier": {"type": "flex"}}
    told = desk.refused(caller, "Converse", params, service="bedrock-runtime", request=request)
    assert (told is None) is holds


def test_tags_of_requests_and_resources(desk: Desk) -> None:
    params = {
        "inferenceProfileName": "p",
        "modelSource": {"copyFrom": model(MODEL)},
        "tags": [{"key": "team", "value": "red"}],
    }
    makes = allow("bedrock:CreateInferenceProfile", "*", StringEquals={"aws:RequestTag/team": "red"})
    told = desk.refused(desk.user(makes), "CreateInferenceProfile", params)
    assert f"bedrock:TagResource on resource: {mine('application-inference-profile/*')}" in (told or "")
    tags = allow("bedrock:TagResource", "*", **{"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}})
    assert desk.refused(desk.user(makes, tags), "CreateInferenceProfile", params) is None
    blue = {**params, "tags": [{"key": "team", "value": "blue"}]}
    assert desk.refused(desk.user(makes, tags), "CreateInferenceProfile", blue) is not None
    more = {**params, "tags": [{"key": "team", "value": "red"}, {"key": "cost", "value": "1"}]}
    assert "bedrock:TagResource" in (desk.refused(desk.user(makes, tags), "CreateInferenceProfile", more) or "")

    arn = desk.profile()
    own = desk.user(
        allow("bedrock:*", "*", StringEquals={"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}), tags={"team": "red"}
    )
    deletes = {"inferenceProfileIdentifier": arn}
    assert desk.refused(own, "DeleteInferenceProfile", deletes) is not None
    tag_resource(desk.bench.ctx, {"resourceARN": arn, "tags": [{"key": "Team", "value": "red"}]})
    assert desk.refused(own, "DeleteInferenceProfile", deletes) is None

    untags = desk.user(allow("bedrock:UntagResource", "*", **{"ForAnyValue:StringEquals": {"aws:TagKeys": "cost"}}))
    assert desk.refused(untags, "UntagResource", {"resourceARN": arn, "tagKeys": ["cost"]}) is None
    assert desk.refused(untags, "UntagResource", {"resourceARN": arn, "tagKeys": ["team"]}) is not None


def test_an_administrator_with_limits_has_limits(desk: Desk) -> None:
    """In whichever way: each of them must keep the short way from being taken."""
    params = {"modelId": MODEL, "messages": MESSAGES}
    bounded = desk.administrator()
    with desk.database.transaction() as transaction:
        user = accounts.user(transaction, ACCOUNT, bounded.arn.rpartition("/")[2])
        accounts.set_boundary(transaction, user, managed.PREFIX + "AmazonBedrockReadOnly")
    for caller, reason in (
        (bounded, "no permissions boundary allows"),
        (desk.user(allow("*"), deny("bedrock:InvokeModel")), "explicit deny in an identity-based policy"),
        (desk.session(policy_arns=(managed.PREFIX + "AmazonBedrockReadOnly",)), "no session policy allows"),
        (desk.session(allow("bedrock:List*")), "no session policy allows"),
        (desk.session(policy_arns=(f"arn:aws:iam::{ACCOUNT}:policy/gone",)), "no session policy allows"),
    ):
        assert reason in (desk.refused(caller, "Converse", params, service="bedrock-runtime") or "")
        assert desk.authorizer.access.unrestricted(caller) is False
    for free in (desk.administrator(), desk.session()):
        assert desk.refused(free, "Converse", params, service="bedrock-runtime") is None
        assert desk.authorizer.access.unrestricted(free) is True


def test_what_is_known_of_a_session(desk: Desk) -> None:
    """Its tags win over those of its role, and it has no user's name."""
    red = allow("bedrock:InvokeModel", "*", StringEquals={"aws:PrincipalTag/team": "red"})
    for of_session, of_role, holds in (
        ({"team": "red"}, {"team": "blue"}, True),
        ({"Team": "red"}, {"team": "blue"}, True),
        ({}, {"team": "red"}, True),
        ({"team": "blue"}, {"team": "red"}, False),
    ):
        caller = desk.session(allowed=red, tags=of_session, tags_of_role=of_role)
        assert (desk.converse(caller, MODEL) is None) is holds
    for condition in (
        {"StringEquals": {"aws:PrincipalType": "AssumedRole"}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/role*"}},
        {"StringLike": {"aws:userid": "AROA*:job"}},
        {"Null": {"aws:username": "true", "aws:TokenIssueTime": "false"}},
    ):
        assert desk.converse(desk.session(allowed=allow("bedrock:*", "*", **condition)), MODEL) is None


def test_api_keys_need_their_own_permission(desk: Desk) -> None:
    kinds: list[Kind] = ["long-term-key", "short-term-key"]
    for kind, named in zip(kinds, ("LONG_TERM", "SHORT_TERM"), strict=True):
        runs = allow("bedrock:InvokeModel")
        told = desk.converse(desk.user(runs, kind=kind), MODEL)
        assert "perform: bedrock:CallWithBearerToken because" in (told or "")
        bears = allow("bedrock:CallWithBearerToken", "*", StringEquals={"bedrock:BearerTokenType": named})
        assert desk.converse(desk.user(runs, bears, kind=kind), MODEL) is None
        forbidden = deny("bedrock:CallWithBearerToken", "*", StringEquals={"bedrock:BearerTokenType": named})
        assert "explicit deny" in (desk.converse(desk.user(allow("*"), forbidden, kind=kind), MODEL) or "")
        assert desk.converse(desk.user(allow("*"), forbidden), MODEL) is None


def job(role: str) -> dict[str, Any]:
    return {"jobName": "j", "roleArn": role, "modelId": MODEL}


def test_roles_are_passed(desk: Desk) -> None:
    makes = allow("bedrock:CreateModelInvocationJob")
    role = f"arn:aws:iam::{ACCOUNT}:role/analyst"
    told = desk.refused(desk.user(makes), "CreateModelInvocationJob", job(role))
    assert f"iam:PassRole on resource: {role}" in (told or "")
    passes = allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "bedrock.amazonaws.com"})
    assert desk.refused(desk.user(makes, passes), "CreateModelInvocationJob", job(role)) is None
    elsewhere = allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "ec2.amazonaws.com"})
    assert desk.refused(desk.user(makes, elsewhere), "CreateModelInvocationJob", job(role)) is not None


def test_a_role_that_is_here_must_trust_bedrock(desk: Desk) -> None:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "bedrock.amazonaws.com"}}
    guarded = {**statement, "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}
    with desk.database.transaction() as transaction:
        for name, trust in (("open", statement), ("guarded", guarded)):
            accounts.add_role(transaction, ACCOUNT, name, json.dumps({"Version": "2012-10-17", "Statement": trust}))
        accounts.add_role(transaction, ACCOUNT, "closed", rows.trust_of_account(ACCOUNT))
    administrator = desk.administrator()
    for name in ("open", "guarded", "not-here"):
        assert (
            desk.refused(administrator, "CreateModelInvocationJob", job(f"arn:aws:iam::{ACCOUNT}:role/{name}")) is None
        )
    with pytest.raises(ValidationException, match="trust policy"):
        desk.refused(administrator, "CreateModelInvocationJob", job(f"arn:aws:iam::{ACCOUNT}:role/closed"))
    other = desk.administrator(OTHER_ACCOUNT)
    told = desk.refused(other, "CreateModelInvocationJob", job(f"arn:aws:iam::{ACCOUNT}:role/open"))
    assert "Cross-account pass role is not allowed" in (told or "")


ROLE = "arn:aws:iam::111122223333:role/r"
KNOWLEDGE = {"knowledgeBaseId": "K", "modelArn": model("a.b")}
# Operation, request, and what it needs in this order; what is no ARN and no asterisk is a resource of the account.
NEEDED: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("bedrock", "ListFoundationModels", {}, ["ListFoundationModels *"]),
    ("bedrock", "GetFoundationModel", {"modelIdentifier": "a.b"}, [f"GetFoundationModel {model('a.b')}"]),
    ("bedrock", "GetGuardrail", {"guardrailIdentifier": "abc"}, ["GetGuardrail guardrail/abc"]),
    ("bedrock-runtime", "ApplyGuardrail", {"guardrailIdentifier": "abc"}, ["ApplyGuardrail guardrail/abc"]),
    (
        "bedrock",
        "GetInferenceProfile",
        {"inferenceProfileIdentifier": "abcdefghijkl"},
        ["GetInferenceProfile application-inference-profile/abcdefghijkl"],
    ),
    (
        "bedrock",
        "GetInferenceProfile",
        {"inferenceProfileIdentifier": "us.a.b"},
        ["GetInferenceProfile inference-profile/us.a.b"],
    ),
    (
        "bedrock",
        "BatchDeleteEvaluationJob",
        {"jobIdentifiers": ["a", "b"]},
        ["BatchDeleteEvaluationJob evaluation-job/a", "BatchDeleteEvaluationJob evaluation-job/b"],
    ),
    ("bedrock-agent-runtime", "InvokeAgent", {"agentId": "A", "agentAliasId": "B"}, ["InvokeAgent agent-alias/A/B"]),
    (
        "bedrock-agent-runtime",
        "InvokeFlow",
        {"flowIdentifier": mine("flow/A"), "flowAliasIdentifier": "B"},
        ["InvokeFlow flow/A/alias/B"],
    ),
    (
        "bedrock-agent-runtime",
        "InvokeFlow",
        {"flowIdentifier": "A", "flowAliasIdentifier": mine("flow/A/alias/B")},
        ["InvokeFlow flow/A/alias/B"],
    ),
    (
        "bedrock-agent-runtime",
        "GetFlowExecution",
        {"flowIdentifier": "A", "flowAliasIdentifier": "B", "executionIdentifier": "e"},
        ["GetFlowExecution flow/A/alias/B/execution/e"],
    ),
    (
        "bedrock-agent",
        "IngestKnowledgeBaseDocuments",
        {"knowledgeBaseId": "K", "dataSourceId": "D"},
        ["IngestKnowledgeBaseDocuments knowledge-base/K", "StartIngestionJob knowledge-base/K"],
    ),
    (
        "bedrock-agent",
        "AssociateAgentKnowledgeBase",
        {"agentId": "A", "knowledgeBaseId": "K"},
        ["AssociateAgentKnowledgeBase agent/A", "AssociateAgentKnowledgeBase knowledge-base/K"],
    ),
    (
        "bedrock-agent-runtime",
        "RetrieveAndGenerate",
        {"retrieveAndGenerateConfiguration": {"knowledgeBaseConfiguration": KNOWLEDGE}},
        ["RetrieveAndGenerate *", f"InvokeModel {model('a.b')}", "Retrieve knowledge-base/K"],
    ),
    (
        "bedrock-agent-runtime",
        "Rerank",
        {
            "rerankingConfiguration": {
                "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model("a.b")}}
            }
        },
        ["Rerank *", f"InvokeModel {model('a.b')}"],
    ),
    ("bedrock-runtime", "CountTokens", {"modelId": "a.b"}, [f"CountTokens {model('a.b')}"]),
    ("bedrock-runtime", "Converse", {"modelId": mine("prompt/ABCDEFGHIJ:1")}, ["RenderPrompt prompt/ABCDEFGHIJ:1"]),
    (
        "bedrock",
        "CreateModelCustomizationJob",
        {"baseModelIdentifier": "a.b", "jobName": "j", "roleArn": ROLE},
        [
            f"CreateModelCustomizationJob {model('a.b')}",
            "CreateModelCustomizationJob custom-model/*",
            "CreateModelCustomizationJob model-customization-job/*",
            f"iam:PassRole {ROLE}",
        ],
    ),
    (
        "bedrock",
        "PutModelInvocationLoggingConfiguration",
        {"loggingConfig": {"cloudWatchConfig": {"logGroupName": "g", "roleArn": ROLE}}},
        ["PutModelInvocationLoggingConfiguration *", f"iam:PassRole {ROLE}"],
    ),
    (
        "bedrock-agent",
        "CreateFlow",
        {"name": "f", "executionRoleArn": ROLE, "tags": {"a": "b"}},
        ["CreateFlow *", "TagResource flow/*", f"iam:PassRole {ROLE}"],
    ),
]


@pytest.mark.parametrize(("service", "operation", "params", "needed"), NEEDED)
def test_what_operations_need(
    desk: Desk, service: str, operation: str, params: dict[str, Any], needed: list[str]
) -> None:
    """Read off by giving the permissions one after the other, as they are asked for."""
    statements: list[dict[str, Any]] = []
    found: list[str] = []
    while (told := desk.refused(desk.user(*statements), operation, params, service=service)) is not None:
        action, _, rest = told.partition("perform: ")[2].partition(" ")
        resource = rest.partition("on resource: ")[2].partition(" ")[0] or "*"
        found.append(f"{action.removeprefix('bedrock:')} {resource.removeprefix(mine(''))}")
        assert len(found) <= len(needed), found
        statements.append(allow(action, resource))
    assert found == needed


def asks(desk: Desk, caller: Caller, endpoint: Endpoint, body: dict[str, Any], **headers: str) -> str | None:
    """The message of the refusal at an endpoint of another interface."""
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    request = HttpRequest(endpoint.method, "/", "", given, orjson.dumps(body) if endpoint.method == "POST" else b"")
    labels = {"id": MODEL} if endpoint.path == "models/{id}" else {"id": "resp_1"} if "{id}" in endpoint.path else {}
    try:
        desk.authorizer.check_compatible(caller, endpoint, Asking(labels, request), REGION)
    except AccessDeniedException as problem:
        return problem.message
    return None


ENDPOINTS = {endpoint.name: endpoint for endpoint in (*openai.ENDPOINTS, *anthropic.ENDPOINTS)}
ACTIONS_OF = {
    "openai.ListModels": "ListFoundationModels",
    "anthropic.ListModels": "ListFoundationModels",
    "openai.GetModel": "GetFoundationModel",
    "anthropic.GetModel": "GetFoundationModel",
    "anthropic.CountTokens": "CountTokens",
}


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
def test_every_endpoint_of_the_other_interfaces_asks(desk: Desk, endpoint: Endpoint) -> None:
    with desk.database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO responses (id, account_id, region, input, response, created_at) VALUES (?, ?, ?, '[]', ?, '')",
            "resp_1", ACCOUNT, REGION, json.dumps({"model": MODEL}),
        )  # fmt: skip
    action = f"bedrock:{ACTIONS_OF.get(endpoint.name, 'InvokeModel')}"
    resource = "*" if endpoint.path == "models" else model(MODEL)
    told = asks(desk, desk.user(), endpoint, {"model": MODEL})
    assert f"is not authorized to perform: {action} " in (told or "")
    assert asks(desk, desk.user(allow(action, resource)), endpoint, {"model": MODEL}) is None
    assert asks(desk, desk.user(allow("*"), deny(action, resource)), endpoint, {"model": MODEL}) is not None
    assert asks(desk, desk.user(allow(action, model(SECOND))), endpoint, {"model": MODEL}) is not None
    assert asks(desk, desk.administrator(), endpoint, {"model": MODEL}) is None


@pytest.mark.parametrize("name", ["openai.CreateChatCompletion", "openai.CreateResponse", "anthropic.CreateMessage"])
def test_what_the_body_says_counts(desk: Desk, name: str) -> None:
    endpoint = ENDPOINTS[name]
    runs = desk.user(allow("bedrock:InvokeModel"))
    assert asks(desk, runs, endpoint, {"model": MODEL, "stream": False}) is None
    assert "InvokeModelWithResponseStream" in (asks(desk, runs, endpoint, {"model": MODEL, "stream": True}) or "")
    assert asks(desk, runs, endpoint, {}) is None
    assert asks(desk, desk.user(), endpoint, {}) is not None
    through = asks(desk, desk.user(allow("bedrock:InvokeModel", model("*"))), endpoint, {"model": f"us.{MODEL}"})
    assert mine(f"inference-profile/us.{MODEL}") in (through or "")
    flex = desk.user(allow("bedrock:InvokeModel", "*", StringEquals={"bedrock:ServiceTier": "flex"}))
    assert asks(desk, flex, endpoint, {"model": MODEL, "service_tier": "flex"}) is None
    assert asks(desk, flex, endpoint, {"model": MODEL}) is not None
    guarded = {"x_amzn_bedrock_guardrailidentifier": "abcdefghijkl", "x_amzn_bedrock_guardrailversion": "2"}
    assert "ApplyGuardrail" in (asks(desk, runs, endpoint, {"model": MODEL}, **guarded) or "")
    forced = desk.user(
        allow(),
        deny("bedrock:InvokeModel", StringNotEquals={"bedrock:GuardrailIdentifier": mine("guardrail/abcdefghijkl:2")}),
    )
    assert asks(desk, forced, endpoint, {"model": MODEL}, **guarded) is None
    assert asks(desk, forced, endpoint, {"model": MODEL}) is not None


def test_a_batch_through_a_profile_needs_the_model_behind_it(desk: Desk) -> None:
    params = {"jobName": "j", "roleArn": ROLE, "modelId": f"us.{MODEL}"}
    caller = desk.user(allow(["bedrock:*", "iam:PassRole"]), deny(resource=model(MODEL)))
    assert "explicit deny" in (desk.refused(caller, "CreateModelInvocationJob", params) or "")
    assert desk.refused(desk.user(allow(["bedrock:*", "iam:PassRole"])), "CreateModelInvocationJob", params) is None


def test_a_name_is_the_resource_that_it_stands_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = mine("custom-model/a.b/abcdefghijkl")

    def named(database: Any, account: str, region: str, name: str) -> str | None:
        return arn if (account, region, name) == (ACCOUNT, REGION, "ours") else None

    monkeypatch.setitem(actions.NAMES, "custom-model", named)
    caller = desk.user(allow(), deny(resource=arn))
    for name in (arn, "ours"):
        assert "explicit deny" in (desk.refused(caller, "GetCustomModel", {"modelIdentifier": name}) or "")
    assert desk.refused(caller, "GetCustomModel", {"modelIdentifier": "theirs"}) is None


def test_a_role_by_another_spelling_is_no_role(desk: Desk) -> None:
    """Its rights would be used under a name that the policies do not know."""
    with desk.database.transaction() as transaction:
        role = accounts.add_role(transaction, ACCOUNT, "analyst", rows.trust_of_account(ACCOUNT))
    assert accounts.role_of_arn(desk.database, role.arn) == role
    for other in (role.arn.replace("role/", "role/safe/"), role.arn.replace("arn:aws:", "arn:aws-cn:"), role.arn + "x"):
        assert accounts.role_of_arn(desk.database, other) is None


def test_rooms_may_ask_for_more(desk: Desk) -> None:
    request = HttpRequest("POST", "/", "", [])
    caller = desk.user(allow("bedrock:InvokeModel", model(MODEL)))
    permit = desk.authorizer.permit(caller, request, REGION)
    permit("bedrock:InvokeModel", MODEL)
    with pytest.raises(AwsError, match="bedrock:InvokeModel on resource"):
        permit("bedrock:InvokeModel", SECOND)
    with pytest.raises(AwsError, match="bedrock:Retrieve on resource"):
        permit("bedrock:Retrieve", mine("knowledge-base/K"))
    everything = desk.authorizer.permit(desk.administrator(), request, REGION)
    everything("bedrock:Retrieve", mine("knowledge-base/K"))
    with pytest.raises(AwsError, match="resource-based"):
        everything("bedrock:Retrieve", mine("knowledge-base/K").replace(ACCOUNT, OTHER_ACCOUNT))
