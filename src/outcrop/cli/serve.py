"""`outcrop serve`: settle the settings, make what the first start needs, print how to connect, hand over to granian."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from outcrop import settings as settings_module
from outcrop.settings import ModelSpec, Settings, SettingsError

T = TypeVar("T", bound=msgspec.Struct)


@click.command()
@click.option(
    "--settings", "settings_path", type=click.Path(dir_okay=False, path_type=Path), help="The TOML file to read."
)
@click.option("--host", help="Address to bind. Default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind; 0 takes a free one. Default 8484.")
@click.option("--tls", is_flag=True, default=None, help="HTTPS with a local authority made on first use.")
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="PATTERN=MODEL",
    help="Answer ids like PATTERN with MODEL; may be repeated.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="ID=PATH|URL",
    help="Serve a GGUF file, a model folder or an OpenAI-compatible URL under ID; may be repeated.",
)
@click.option("--prewarm", is_flag=True, help="Load the models before the first request.")
@click.option("--log", type=click.Choice(["json", "text", "off"]), help="How to log requests. Default text.")
@click.option(
    "--insecure-no-auth",
    is_flag=True,
    default=None,
    help="Accept unsigned requests. Loopback only; for throw-away use.",
)
def serve(
    settings_path: Path | None,
    host: str | None,
    port: int | None,
    tls: bool | None,
    aliases: tuple[str, ...],
    models: tuple[str, ...],
    prewarm: bool,
    log: str | None,
    insecure_no_auth: bool | None,
) -> None:
    """Serve Bedrock's APIs on this machine.

    The first start makes an account, an administrator and an access key, and prints the lines that connect a client.
    """
    from outcrop.models.catalogue import check_settings
    from outcrop.telemetry.setup import check as check_telemetry

    try:
        settings = settings_module.load(settings_path)
        server = _changed(settings.server, host=host, port=port, tls=tls, log=log)
        settings = _changed(
            settings,
            server=server,
            identity=_changed(settings.identity, insecure_no_auth=insecure_no_auth),
            aliases={**settings.aliases, **dict(_pair(alias, "--alias") for alias in aliases)},
            models=_models(settings, models),
            engines=_changed(settings.engines, prewarm=prewarm or None),
        )
        check_exposure(settings)
        check_settings(settings)
        check_telemetry(settings)
        settings = _changed(settings, server=_changed(server, port=_bindable(server.host, server.port)))
    except SettingsError as problem:
        raise click.ClickException(str(problem)) from None

    from outcrop.serve import launch
    from outcrop.store.database import DatabaseError
    from outcrop.store.keyfile import KeyFileError

    try:
        launch.serve(settings)
    except (SettingsError, DatabaseError, KeyFileError) as problem:
        raise click.ClickException(str(problem)) from None


def check_exposure(settings: Settings) -> None:
    """Unsigned requests are answered on loopback only."""
    if settings.identity.insecure_no_auth and not _is_loopback(settings.server.host):
        raise SettingsError(
            f"--insecure-no-auth answers anyone, so it binds loopback only, not {settings.server.host}. "
            "Use --host 127.0.0.1, or leave it out and sign requests."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _models(settings: Settings, named: tuple[str, ...]) -> tuple[ModelSpec, ...]:
    added = {spec.id: spec for spec in (_model(text) for text in named)}
    return (*(spec for spec in settings.models if spec.id not in added), *added.values())


def _model(text: str) -> ModelSpec:
    model_id, where = _pair(text, "--model")
    if where.startswith(("http://", "https://")):
        url, _, name = where.partition("#")
        return ModelSpec(id=model_id, engine="openai", url=url, model=name or None)
    path = Path(where).expanduser().resolve()
    if not path.exists():
        raise SettingsError(f"--model {model_id}: {path} does not exist.")
    return ModelSpec(id=model_id, engine="llamacpp", path=str(path))


def _pair(text: str, option: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise SettingsError(f"{option} takes LEFT=RIGHT, not {shlex.quote(text)}.")
    return left, right


def _changed(struct: T, **changes: object) -> T:
    return msgspec.structs.replace(struct, **{name: value for name, value in changes.items() if value is not None})


def _bindable(host: str, port: int) -> int:
    """The port, a free one for 0. SettingsError where it cannot be had, which granian would tell with a traceback."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as problem:
        raise SettingsError(f"{host} port {port} cannot be listened on: {problem.strerror}. Try --port 0.") from None
