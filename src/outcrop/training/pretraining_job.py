"""`python -m outcrop.training.pretraining_job SPEC.json`: a recipe's model, for a program that follows it.

It says what `outcrop.training.customizing` says, in the same JSON lines, and ends as that does, with the same statuses. Started again with
the same spec it goes on from its checkpoint. The spec's struct imports no torch, so that a server may write one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from outcrop.training.customizing.spec import DONE, FAILED
from outcrop.training.recipe import Recipe, RecipeError, parse

if TYPE_CHECKING:
    from outcrop.training.customizing.messages import Tell

MODULE = "outcrop.training.pretraining_job"
RECIPE = "recipe.toml"


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`recipe` is TOML, `out` the folder of the run. `threads` and `checkpoint_seconds` count, not the recipe's."""

    recipe: str
    out: str
    threads: int = 0
    checkpoint_seconds: float = 60.0


class Result(msgspec.Struct, frozen=True):
    """`folder` is the finished model's, `name` the recipe's: its GGUF file is `NAME.gguf` there."""

    folder: str
    name: str
    parameters: int
    training_loss: float
    steps: int
    tokens: int
    seconds: float


def recipe_of(spec: Spec) -> Recipe:
    recipe = parse(spec.recipe, "The recipe")
    train = msgspec.structs.replace(recipe.train, threads=spec.threads, checkpoint_seconds=spec.checkpoint_seconds)
    return msgspec.structs.replace(recipe, train=train)


def make(spec: Spec, tell: Tell) -> Result:
    """Train what the spec's recipe says, from the newest checkpoint in its folder."""
    from outcrop.training import pretraining, run
    from outcrop.training.customizing.messages import phase
    from outcrop.training.progress import Progress

    recipe, out = recipe_of(spec), Path(spec.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / RECIPE).write_text(spec.recipe, "utf-8")

    def report(done: Progress) -> None:
        tell(
            {
                "type": "progress",
                "step": done.step,
                "tokens": done.tokens,
                "total_tokens": recipe.train.tokens,
                "loss": round(done.loss, 6),
                "tokens_per_second": round(done.speed, 1),
            }
        )

    tell(phase("data_processing"))
    tokenizer = run.tokenizer_of(recipe, out)
    tell(phase("training"))
    model, progress = pretraining.train(recipe, tokenizer, out, report)
    tell(phase("exporting"))
    folder = run.finish(recipe, model, progress, out)
    return Result(
        str(folder.resolve()), recipe.name, model.parameters_count(), progress.loss, progress.step, progress.tokens,
        round(progress.seconds, 3),
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(f"usage: python -m {MODULE} SPEC.json", file=sys.stderr)
        return FAILED
    from outcrop.training.customizing.messages import JsonLines, Replies

    Replies(FAILED).listen()
    from outcrop.engines.weights.errors import WeightsError
    from outcrop.evaluation.sandbox.run import SandboxError
    from outcrop.training.loop import TrainingError

    tell = JsonLines().tell
    try:
        spec = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Spec)
        result = make(spec, tell)
    except (RecipeError, WeightsError, TrainingError, SandboxError) as problem:
        # Whose recipe it is wants no paths of this machine.
        tell({"type": "failed", "reason": str(problem).replace(f"{spec.out}/", "")})
        return FAILED
    except OSError as problem:
        tell({"type": "failed", "reason": f"{problem.filename or 'A file'}: {problem.strerror or problem}."})
        return FAILED
    except RuntimeError as problem:
        # Too little memory is said by torch in many words; the first line says it.
        tell({"type": "failed", "reason": f"{type(problem).__name__}: {str(problem).strip().splitlines()[0][:500]}"})
        return FAILED
    tell({"type": "done", "result": msgspec.to_builtins(result)})
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
