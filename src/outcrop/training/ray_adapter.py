"""A customization on the workers of a Ray cluster: what `torchrun` starts elsewhere, Ray starts here.

    python -m outcrop.training.ray_adapter SPEC.json --workers 4 [--gpu]

The spec's folders must be seen by all machines. A worker that dies has all of them started anew, from the newest checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from outcrop.training.customizing.spec import RESULT, Result, SpecError, load

REFUSED = "refused.txt"


class RefusedRun(Exception):
    """Why nothing can be trained, which another start would not change."""


def train(spec: Path, workers: int, *, gpu: bool = False, restarts: int = 3) -> Result:
    """On the cluster that `ray.init` has joined, or one of this machine's cores. SpecError, RefusedRun, or Ray's own errors."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    out = Path(load(spec).out).resolve()
    (out / REFUSED).unlink(missing_ok=True)
    trainer = TorchTrainer(
        work,
        train_loop_config={"spec": str(spec.resolve())},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=RunConfig(storage_path=str(out / "ray"), failure_config=FailureConfig(max_failures=restarts)),
    )
    # What it returns is not asked: Ray drops metrics that come without a checkpoint of its own kind.
    trainer.fit()
    if (out / REFUSED).exists():
        raise RefusedRun((out / REFUSED).read_text("utf-8"))
    return msgspec.json.decode((out / RESULT).read_bytes(), type=Result)


def work(config: dict[str, Any]) -> None:
    """On each worker; Ray has joined them in a process group."""
    from outcrop.engines.weights.errors import WeightsError
    from outcrop.training import parallel
    from outcrop.training.customizing.messages import reporter
    from outcrop.training.customizing.records import InvalidData
    from outcrop.training.customizing.run import customize

    spec = load(Path(config["spec"]))
    with reporter() as tell:
        try:
            customize(spec, tell)
        except (InvalidData, SpecError, WeightsError) as problem:
            if parallel.rank() == 0:
                lines = problem.problems if isinstance(problem, InvalidData) else [str(problem)]
                Path(spec.out).mkdir(parents=True, exist_ok=True)
                (Path(spec.out) / REFUSED).write_text("\n".join(lines), "utf-8")


@click.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--workers", type=click.IntRange(1), required=True, help="Processes, on whichever machines Ray has.")
@click.option("--gpu", is_flag=True, help="A GPU for each.")
@click.option("--restarts", type=click.IntRange(0), default=3, show_default=True)
def main(spec: Path, workers: int, gpu: bool, restarts: int) -> None:
    """Train as SPEC says, with Ray Train."""
    try:
        result = train(spec, workers, gpu=gpu, restarts=restarts)
    except (SpecError, RefusedRun) as problem:
        raise click.ClickException(str(problem)) from None
    except ImportError:
        raise click.ClickException("Ray is not installed: pip install 'outcrop[train,ray]'") from None
    click.echo(msgspec.json.format(msgspec.json.encode(result)))


if __name__ == "__main__":
    main()
