"""Models by the names that callers may use, for both interfaces."""

from __future__ import annotations

from outcrop.context import Context
from outcrop.errors import ResourceNotFoundException, ValidationException
from outcrop.inference.refusals import GUARDRAILS, check_tier
from outcrop.models.model import Model
from outcrop.request import HttpRequest


def listed(ctx: Context) -> list[tuple[str, Model]]:
    """Ids and what answers for them: the models, and the aliases that can be named."""
    own = [(model.id, model) for model in ctx.catalogue.models()]
    return own + [(alias, model) for alias, model in ctx.catalogue.exact_aliases() if not alias.startswith("arn:")]


def found(ctx: Context, name: object) -> Model:
    """The model of a body's `model`, which may be an id, an alias, a profile or an ARN."""
    if not isinstance(name, str) or not name:
        raise ValidationException("model: Name the model that is to answer.")
    try:
        return ctx.catalogue.resolve(name, account=ctx.account, region=ctx.region)
    except ValidationException:
        raise ResourceNotFoundException(
            f"The model `{name}` does not exist or you do not have access to it.", members={"param": "model"}
        ) from None


def refuse_guardrails(request: HttpRequest) -> None:
    """A request that names a guardrail is refused rather than answered unguarded."""
    if request.header("x-amzn-bedrock-guardrailidentifier") or request.header("x-amzn-bedrock-guardrailversion"):
        raise ValidationException(GUARDRAILS)


def enter_tier(tier: object) -> str:
    """The class that a body's `service_tier` asks for; "auto" is the default one."""
    name = "default" if tier in (None, "auto", "standard_only") else str(tier)
    check_tier(name)
    return name
