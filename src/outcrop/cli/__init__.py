"""The command `outcrop`. Each command's module is imported only when it is called, so that `--help` is instant."""

from __future__ import annotations

import importlib

import click

from outcrop import __version__

# name -> (module:object, the line that `outcrop --help` shows)
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("outcrop.cli.serve:serve", "Serve Bedrock's APIs on this machine."),
    "env": ("outcrop.cli.env:env", 'Print the export lines for AWS clients: eval "$(outcrop env)".'),
    "keys": ("outcrop.cli.keys:keys", "Create, list and revoke access keys and API keys."),
    "encryption": (
        "outcrop.cli.encryption:encryption",
        "Create, rotate and disable the keys that encrypt what is stored.",
    ),
    "accounts": ("outcrop.cli.accounts:accounts", "Create and list accounts."),
    "users": ("outcrop.cli.users:users", "Create, list and delete users."),
    "roles": ("outcrop.cli.users:roles", "Create, list and delete roles."),
    "policies": ("outcrop.cli.policies:policies", "Write, attach and try out JSON policies."),
    "aliases": ("outcrop.cli.aliases:aliases", "Let other model ids be answered by a model of yours."),
    "audit": ("outcrop.cli.audit:audit", "Check the trail of all calls for signs of tampering."),
    "throughput": ("outcrop.cli.throughput:throughput", "List provisioned throughput, and end what is committed."),
    "jobs": ("outcrop.cli.jobs:jobs", "List jobs and follow them."),
    "backup": ("outcrop.cli.backup:backup", "Write the database to one file, while a server runs or not."),
    "restore": ("outcrop.cli.backup:restore", "Put a backup into the database, SQLite or PostgreSQL."),
    "operations": ("outcrop.cli.operations:operations", "List Bedrock's operations and which are built."),
    "pull": ("outcrop.cli.pull:pull", "Download a model from a Hugging Face hub."),
    "train": ("outcrop.cli.train:train", "Train a model from a recipe file."),
    "evaluate": ("outcrop.cli.evaluate:evaluate", "Measure models on public benchmarks and compare them."),
}


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="outcrop")
def main() -> None:
    """Amazon Bedrock on your own ground.

    Start with `outcrop serve`, then point any AWS SDK at it with `eval "$(outcrop env)"`.
    """
