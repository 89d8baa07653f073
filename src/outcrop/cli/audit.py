"""`outcrop audit`: whether anybody touched the trail."""

from __future__ import annotations

import json

import click

from outcrop.settings import home


@click.group()
def audit() -> None:
    """The audit trail of all calls."""


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def verify(as_json: bool) -> None:
    """Check every record and digest; exit 1 and name each that was edited, removed, moved or cut off."""
    from outcrop.audit.verify import verify as check
    from outcrop.store.keyfile import KeyFileError, Vault

    folder = home() / "audit"
    if not folder.exists():
        raise click.ClickException(f"There is no audit trail at {folder}. A server makes it unless [audit] is off.")
    try:
        report = check(folder, Vault.open(home()))
    except KeyFileError as problem:
        raise click.ClickException(str(problem)) from None
    if as_json:
        findings = [{"file": finding.file, "problem": finding.problem} for finding in report.findings]
        click.echo(
            json.dumps(
                {"records": report.records, "files": report.files, "digests": report.digests, "findings": findings}
            )
        )
    else:
        click.echo(f"{report.records} records in {report.files} files, {report.digests} digests.")
        for finding in report.findings:
            click.secho(f"{finding.file}: {finding.problem}", fg="red")
        if not report.findings:
            click.secho("Nothing was edited, removed, moved or cut off.", fg="green")
    if report.findings:
        raise SystemExit(1)
