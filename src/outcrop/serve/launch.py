"""Starts granian with one worker process and tells the person how to connect."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click
import msgspec

from outcrop import __version__
from outcrop.models.specs import all_specs
from outcrop.serve import tls
from outcrop.serve.announced import Announcement, announced
from outcrop.settings import Settings, database_of, engines_of, home

# The worker is a fresh process: it gets the settled settings through its environment.
VARIABLE = "OUTCROP_SERVE"


def serve(settings: Settings) -> None:
    """Blocks until the server is stopped."""
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.server import Server

    folder = home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate = tls.ensure(folder / "tls", settings.server.host) if settings.server.tls else None
    url = _url(settings)
    _convert_models(settings, folder)
    os.environ[VARIABLE] = msgspec.json.encode(settings).decode()
    server = Server(
        "outcrop.app:create",
        address=settings.server.host,
        port=settings.server.port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.asyncio,
        http=HTTPModes.auto,
        websockets=False,
        backlog=4096,
        log_enabled=False,
        ssl_cert=certificate.chain if certificate else None,
        ssl_key=certificate.key if certificate else None,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=10,
        factory=True,
    )
    models = tuple(spec.id for spec in all_specs(settings))
    with announced(folder, Announcement(url, str(certificate.ca) if certificate else None, os.getpid(), models)):
        _greet(settings, folder, url, certificate)
        server.serve()


def _convert_models(settings: Settings, folder: Path) -> None:
    """Hugging Face folders become GGUF files here, once, so that no request waits for it. One that cannot be served is said."""
    for spec in (one for model in settings.models for one in engines_of(model) or (model,)):
        if spec.engine != "llamacpp" or spec.path is None or not Path(spec.path).expanduser().is_dir():
            continue
        from outcrop.engines.weights import WeightsError, servable

        click.echo(f"Preparing {spec.id} from {spec.path} ...", err=True)
        try:
            servable(Path(spec.path).expanduser(), folder / "converted")
        except WeightsError as problem:
            click.secho(f"{spec.id} cannot be served: {problem}", fg="red", err=True)


def _url(settings: Settings) -> str:
    host = settings.server.host
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if settings.server.tls else 'http'}://{shown}:{settings.server.port}"


def _greet(settings: Settings, folder: Path, url: str, certificate: tls.Certificate | None) -> None:
    def say(text: str = "", **style: bool | str) -> None:
        click.secho(text, err=True, **style)  # type: ignore[arg-type]  # click's style arguments are all optional

    say(f"Outcrop {__version__} serves Amazon Bedrock's APIs on {url}", bold=True)
    if settings.identity.insecure_no_auth:
        say(
            "WARNING: --insecure-no-auth: every request is accepted unsigned, as the administrator. Throw-away use only.",
            fg="red",
            bold=True,
        )
    for line in connection_lines(settings, folder, url, certificate.ca if certificate else None):
        say(f"  {line}")
    say('In another terminal, the same by: eval "$(outcrop env)"   Stop with Ctrl+C.')
    sys.stderr.flush()


def connection_lines(settings: Settings, folder: Path, url: str, ca: Path | None) -> list[str]:
    """Export lines that connect AWS clients, the administrator's key included; made on the first start."""
    from outcrop.identity.first_start import exports

    found = exports(folder, url=url, ca=ca, database=database_of(settings, folder))
    return [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
