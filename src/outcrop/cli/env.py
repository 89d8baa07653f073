"""`outcrop env`: lines for a shell to evaluate, and nothing else on standard output."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outcrop import settings as settings_module
from outcrop.serve.announced import running
from outcrop.settings import SettingsError, database_of, home

if TYPE_CHECKING:
    from outcrop.settings import Settings

# Left over from other accounts, these win over what is exported here or break its signatures.
DISTURBING = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE")


@click.command()
@click.option("--tls", is_flag=True, help="Address a server with TLS, as `outcrop serve --tls` starts it.")
@click.option("--host", help="The server's host, if it is not the running one's.")
@click.option("--port", type=click.IntRange(1, 65535), help="The server's port, if it is not the running one's.")
@click.option("--openai", is_flag=True, help="Lines for the OpenAI SDK too, with an API key for twelve hours.")
@click.option("--anthropic", is_flag=True, help="Lines for the Anthropic SDK too, with an API key for twelve hours.")
def env(tls: bool, host: str | None, port: int | None, openai: bool, anthropic: bool) -> None:
    """Print the lines that connect AWS clients: eval "$(outcrop env)"."""
    from outcrop.identity.first_start import exports
    from outcrop.identity.keyring import KeyringError
    from outcrop.store.database import DatabaseError
    from outcrop.store.keyfile import KeyFileError

    folder = home()
    try:
        settings = settings_module.load()
        url, ca = _address(settings, folder, tls, host, port)
        where = database_of(settings, folder)
        variables = exports(folder, url=url, ca=ca, region=settings.region, database=where)
    except (SettingsError, KeyringError, DatabaseError, KeyFileError) as problem:
        raise click.ClickException(str(problem)) from None
    for named, kind in ((openai, "openai"), (anthropic, "anthropic")):
        if named:
            variables |= compatible(kind, variables, url)
    for name in DISTURBING:
        if name in os.environ:
            click.echo(f"unset {name}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def compatible(kind: str, variables: Mapping[str, str], url: str) -> dict[str, str]:
    """The variables that point the OpenAI or Anthropic SDK at the server, for `variables` that point AWS's there."""
    from outcrop.identity.bearer import new_short_term_key

    key = new_short_term_key(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], variables["AWS_REGION"], datetime.now(UTC)
    )
    # Anthropic's client of Bedrock reads no variable of AWS for its address.
    bases = {
        "openai": {"OPENAI_BASE_URL": f"{url}/openai/v1"},
        "anthropic": {"ANTHROPIC_BASE_URL": f"{url}/anthropic", "ANTHROPIC_BEDROCK_BASE_URL": url},
    }
    found = {**bases[kind], f"{kind.upper()}_API_KEY": key}
    # Both SDKs use httpx, which knows no AWS_CA_BUNDLE.
    return {**found, "SSL_CERT_FILE": variables["AWS_CA_BUNDLE"]} if "AWS_CA_BUNDLE" in variables else found


def _address(
    settings: Settings, folder: Path, tls: bool, host: str | None, port: int | None
) -> tuple[str, Path | None]:
    """The URL and, with TLS, the authority's certificate: of the running server unless an option asks for another."""
    found = None if tls or host or port else running(folder)
    if found is not None:
        return found.url, Path(found.ca) if found.ca else None
    secure = tls or settings.server.tls
    name = host or settings.server.host
    shown = f"[{name}]" if ":" in name else name
    url = f"{'https' if secure else 'http'}://{shown}:{port or settings.server.port}"
    return url, _authority(folder, name) if secure else None


def _authority(folder: Path, host: str) -> Path:
    from outcrop.serve import tls

    return tls.ensure(folder / "tls", host).ca
