"""`outcrop evaluate hand-in`: a filled worksheet goes to the evaluation job that waits for it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("hand-in")
@click.argument("name", metavar="JOB")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def hand_in(name: str, file: Path) -> None:
    """Hand the filled worksheet FILE (.xlsx or .csv) in to the evaluation job with the id or name JOB.

    A worksheet that is not filled in, or changed, is refused with the numbers of its rows, and nothing is handed in.
    """
    from contextlib import closing

    from outcrop import settings
    from outcrop.batch.refused import Refused
    from outcrop.encryption.keys import attached
    from outcrop.evaluation.jobs import EVALUATION
    from outcrop.evaluation.jobs.human.answers import Problems
    from outcrop.evaluation.jobs.human.hand_in import hand_in as put
    from outcrop.jobs import queue
    from outcrop.objects.errors import ObjectsError
    from outcrop.objects.places import Places
    from outcrop.store.database import Database, DatabaseError
    from outcrop.store.keyfile import KeyFileError

    folder = settings.home()
    try:
        chosen = settings.load()
        with closing(Database.open(settings.database_of(chosen, folder))) as database:
            attached(chosen, database, folder)
            found = [job for job in queue.called(database, name) if job.kind == EVALUATION]
            if not found:
                raise click.ClickException(
                    f"There is no evaluation job {name}. See: outcrop jobs list --kind {EVALUATION}"
                )
            if len(found) > 1:
                ids = ", ".join(job.id for job in found)
                raise click.ClickException(f"{len(found)} jobs are called {name}. Name one by its id: {ids}")
            uri = put(Places(chosen, database, folder).of(found[0].account), found[0], file)
    except Problems as problem:
        raise click.ClickException(f"{file} cannot be taken:\n{problem}") from None
    except (Refused, settings.SettingsError, DatabaseError, KeyFileError, ObjectsError) as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"{uri}\nThe job takes it within a few seconds. To watch: outcrop jobs watch {found[0].id}")
