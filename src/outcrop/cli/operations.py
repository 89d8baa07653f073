"""`outcrop operations`: all that Bedrock has, and what of it is built."""

from __future__ import annotations

import json
from itertools import groupby

import click


@click.command()
@click.option("--built", "only", flag_value="built", help="Only what is built.")
@click.option("--missing", "only", flag_value="missing", help="Only what is not built yet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def operations(only: str | None, as_json: bool) -> None:
    """List the operations of Bedrock's four services and which of them this version answers."""
    from outcrop.app import handlers
    from outcrop.wire.model import load_services

    built = handlers()
    rows = [(service, name, (service, name) in built) for service, name in sorted(load_services().operations)]
    rows = [row for row in rows if only is None or row[2] == (only == "built")]
    if as_json:
        click.echo(json.dumps([{"service": s, "operation": n, "built": b} for s, n, b in rows], indent=1))
        return
    for service, group in groupby(rows, key=lambda row: row[0]):
        members = list(group)
        click.secho(f"{service} ({sum(b for *_, b in members)} of {len(members)} shown are built)", bold=True)
        for _, name, is_built in members:
            click.echo(f"  {'built  ' if is_built else '-      '} {name}")
    click.echo(f"{sum(b for *_, b in rows)} of {len(rows)} operations are built.")
