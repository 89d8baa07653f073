"""`outcrop pull ORG/NAME`."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outcrop.settings import SettingsError, home, load

if TYPE_CHECKING:
    from outcrop.engines.weights.pull import Hub, HubFile


@click.command()
@click.argument("model", metavar="ORG/NAME")
@click.option("--file", "chosen", help="One file of the model, such as a GGUF of a certain size.")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put it. Default: models/ORG/NAME in the data folder.",
)
def pull(model: str, chosen: str | None, revision: str, folder: Path | None) -> None:
    """Download a model from a Hugging Face hub (HF_ENDPOINT, HF_TOKEN), going on where an earlier try broke off.

    Only safetensors and GGUF are fetched: weights that cannot run code when they are read.
    """
    from outcrop.engines.weights import WeightsError
    from outcrop.engines.weights.pull import HUB, Hub

    target = folder or home() / "models" / model
    endpoint = os.environ.get("HF_ENDPOINT") or HUB
    try:
        check_network(endpoint)
        hub = Hub(model, revision, endpoint=endpoint, token=os.environ.get("HF_TOKEN"))
        files = asyncio.run(_download(hub, chosen, target))
    except (WeightsError, SettingsError) as problem:
        raise click.ClickException(str(problem)) from None
    path = target / files[0].name if files[0].name.endswith(".gguf") else target
    name = re.sub(r"[^a-z0-9.-]+", "-", model.lower().replace("/", "."))
    click.echo(f"It is in {path}\nServe it:  outcrop serve --model {name}-v1:0={path}")


def check_network(endpoint: str) -> None:
    """SettingsError where the settings forbid to leave this machine, and the hub is not on it."""
    from outcrop.engines.loopback import is_loopback

    if load().network == "none" and not is_loopback(endpoint):
        raise SettingsError(f'network is "none" in the settings, and {endpoint} is not on this machine.')


async def _download(hub: Hub, chosen: str | None, folder: Path) -> list[HubFile]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    files = await hub.files(chosen)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    ) as bar:
        tasks = {file.name: bar.add_task(file.name, total=file.size) for file in files}
        for file in files:
            await hub.download(file, folder, lambda f, done: bar.update(tasks[f.name], completed=done))
    return files
