"""`outcrop policies`: JSON policies, who has them, and what they decide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from outcrop.cli.identities import account_option, json_option, opened, show

if TYPE_CHECKING:
    from outcrop.cli.identities import Opened
    from outcrop.identity.accounts import Reads, Role, User

_user = click.option("--user", help="A user of the account.")
_role = click.option("--role", help="A role of the account.")


@click.group()
def policies() -> None:
    """Write, attach and try out JSON policies."""


@policies.command()
@click.argument("name")
@click.argument("document", type=click.File("r", "utf-8"))
@account_option
def put(name: str, document: Any, account: str | None) -> None:
    """Make the policy NAME of the file DOCUMENT (- is standard input), or write it over.

    It holds at once, in a running server too. A document that is no policy is refused with the place of the mistake.
    """
    from outcrop.identity.policies import rows

    with opened(account) as parts, parts.database.transaction() as transaction:
        made = rows.put(transaction, parts.account, name, document.read())
    click.echo(made.arn)


@policies.command("list")
@account_option
@json_option
def list_(account: str | None, as_json: bool) -> None:
    """List the account's policies and those that AWS manages."""
    from outcrop.identity.policies import rows

    with opened(account) as parts:
        found = rows.listed(parts.database, parts.account)
    show([{"PolicyName": one.name, "Arn": one.arn, "UpdateDate": one.updated_at} for one in found], as_json)


@policies.command("show")
@click.argument("name")
@account_option
def show_(name: str, account: str | None) -> None:
    """Print the document of the policy NAME, or of the one that the resource with the ARN NAME has."""
    from outcrop.identity.policies import rows

    with opened(account) as parts:
        own = rows.resource_policy(parts.database, name)
        click.echo(own if own is not None else rows.policy(parts.database, parts.account, name).document)


@policies.command()
@click.argument("name")
@account_option
def delete(name: str, account: str | None) -> None:
    """Delete the policy NAME, which nobody has any more, or the one that the resource with the ARN NAME has."""
    from outcrop.identity.policies import rows

    with opened(account) as parts, parts.database.transaction() as transaction:
        if not rows.remove_resource_policy(transaction, name):
            rows.remove(transaction, rows.policy(transaction, parts.account, name))
    click.echo(f"{name} is deleted.")


@policies.command()
@click.argument("name")
@_user
@_role
@click.option("--boundary", is_flag=True, help="As the permissions boundary, beyond which nothing is allowed.")
@account_option
def attach(name: str, user: str | None, role: str | None, boundary: bool, account: str | None) -> None:
    """Give the policy NAME to a user or role."""
    from outcrop.identity import accounts
    from outcrop.identity.policies import rows

    with opened(account) as parts, parts.database.transaction() as transaction:
        principal = _principal(transaction, parts.account, user, role)
        arn = rows.policy(transaction, parts.account, name).arn
        if boundary:
            accounts.set_boundary(transaction, principal, arn)
        else:
            rows.attach(transaction, principal.id, arn)
    click.echo(f"{principal.name} has {arn}{' as a boundary' if boundary else ''}.")


@policies.command()
@click.argument("name")
@_user
@_role
@click.option("--boundary", is_flag=True, help="The permissions boundary.")
@account_option
def detach(name: str, user: str | None, role: str | None, boundary: bool, account: str | None) -> None:
    """Take the policy NAME from a user or role."""
    from outcrop.identity import accounts
    from outcrop.identity.policies import rows

    with opened(account) as parts, parts.database.transaction() as transaction:
        principal = _principal(transaction, parts.account, user, role)
        arn = rows.policy(transaction, parts.account, name).arn
        had = principal.boundary == arn if boundary else rows.detach(transaction, principal.id, arn)
        if not had:
            raise click.ClickException(f"{principal.name} does not have {arn}{' as a boundary' if boundary else ''}.")
        if boundary:
            accounts.set_boundary(transaction, principal, None)
    click.echo(f"{principal.name} does not have {arn} any more.")


@policies.command()
@click.argument("action")
@click.argument("resource", default="*")
@_user
@_role
@click.option("--context", "context", multiple=True, metavar="KEY=VALUE", help="A condition key; may be repeated.")
@account_option
@json_option
def simulate(
    action: str,
    resource: str,
    user: str | None,
    role: str | None,
    context: tuple[str, ...],
    account: str | None,
    as_json: bool,
) -> None:
    """Tell whether a user or role may do ACTION (bedrock:InvokeModel) on RESOURCE (an ARN, or *), and why.

    Ends with 0 if it is allowed and with 1 if not.
    """
    with opened(account) as parts:
        allowed, reason = _simulated(parts, action, resource, user, role, context)
    if as_json:
        click.echo(json.dumps({"EvalDecision": reason[0], "Reason": reason[1]}, indent=1))
    else:
        click.echo(f"{reason[0]}: {reason[1]}")
    if not allowed:
        raise SystemExit(1)


def _simulated(
    parts: Opened, action: str, resource: str, user: str | None, role: str | None, context: tuple[str, ...]
) -> tuple[bool, tuple[str, str]]:
    from outcrop.identity.access import Access, owner_of, refusal
    from outcrop.identity.simulation import caller_of, keys_of

    caller = caller_of(_principal(parts.database, parts.account, user, role))
    access = Access(parts.database)
    pairs: list[tuple[str, str]] = []
    for text in context:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--context takes KEY=VALUE, not {text!r}.")
        pairs.append((key, value))
    keys = keys_of(caller, access, pairs, resource, parts.database)
    decision = access.decide(caller, action, resource, keys, owner=owner_of(resource))
    if decision.allowed:
        return True, ("allowed", f"statement {decision.statement} of {decision.policy} allows it.")
    kind = "explicitDeny" if decision.explicit else "implicitDeny"
    where = f" Statement {decision.statement} of {decision.policy}." if decision.explicit else ""
    return False, (kind, refusal(caller, action, resource, decision).message + "." + where)


def _principal(reads: Reads, account: str, user: str | None, role: str | None) -> User | Role:
    from outcrop.identity import accounts

    if (user is None) is (role is None):
        raise click.UsageError("Name a --user or a --role.")
    return accounts.user(reads, account, user) if user is not None else accounts.role(reads, account, str(role))
