"""`python -m outcrop.training.generators FAMILY...`: generated examples as records for a customization, none of them held out."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import click

from outcrop.training.generators import FAMILIES, Example, is_held_out

TOLD = tuple(family for family in FAMILIES if family not in ("tools", "tool-results"))


@click.command()
@click.argument("families", metavar="FAMILY...", nargs=-1, required=True, type=click.Choice(TOLD))
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="Of all families together.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(families: tuple[str, ...], count: int, seed: int) -> None:
    """Print records of the form bedrock-conversation-2024, one a line, of each FAMILY in turn."""
    random = Random(f"records/{seed}")
    for number in range(count):
        example = drawn(families[number % len(families)], random)
        click.echo(json.dumps(record(example), ensure_ascii=False))


def drawn(family: str, random: Random) -> Example:
    """One that may be trained on."""
    while True:
        example = FAMILIES[family][0](random)
        if not is_held_out(example):
            return example


def record(example: Example) -> dict[str, Any]:
    system = [{"text": message["content"]} for message in example.messages if message["role"] == "system"]
    turns = [
        {"role": message["role"], "content": [{"text": message["content"]}]}
        for message in example.messages
        if message["role"] != "system"
    ]
    return {"schemaVersion": "bedrock-conversation-2024", **({"system": system} if system else {}), "messages": turns}


if __name__ == "__main__":
    main()
