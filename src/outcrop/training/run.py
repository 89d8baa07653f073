"""A whole run: recipe -> tokenizer -> trained model -> Hugging Face folder and GGUF -> model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer

from outcrop.training import parallel, plot, pretraining
from outcrop.training.generators import training_example
from outcrop.training.model import Decoder
from outcrop.training.progress import Metrics
from outcrop.training.progress import Progress as Done
from outcrop.training.recipe import Recipe, RecipeError, load, model_file
from outcrop.training.tokenizer import Template
from outcrop.training.tokenizer import train as train_tokenizer


def train(recipe_path: Path, out: Path | None = None, *, resume: bool = True) -> Path:
    """Train what the recipe says; the folder of the finished model. Checkpoints and metrics are in `out` (`runs/NAME`).

    Under `torchrun` all processes train one model, and the first writes it.
    """
    recipe = load(recipe_path)
    out = out or Path("runs") / recipe.name
    with parallel.world():
        first = parallel.rank() == 0
        if first:
            _prepare(recipe_path, out, resume)
            tokenizer_of(recipe, out)
        parallel.wait()
        model, progress = _trained(recipe, tokenizer_of(recipe, out), out, shown=first)
        return finish(recipe, model, progress, out)


def finish(recipe: Recipe, model: Decoder, progress: Done, out: Path) -> Path:
    """The trained model's folder in `out`, with its card; the curve in `out`. All processes must call it."""
    # Only a finished run needs these.
    from outcrop.training import card, export

    folder = out / recipe.name
    export.write(model, tokenizer_of(recipe, out), folder, recipe)
    if parallel.rank() == 0:
        curve = Metrics(out / pretraining.METRICS, "training").points()
        (out / "loss.svg").write_text(plot.losses({"training": curve}), "utf-8")
        card.write(folder, recipe, progress, model.parameters_count())
    return folder


def _trained(recipe: Recipe, tokenizer: Tokenizer, out: Path, *, shown: bool) -> tuple[Decoder, Done]:
    with _progress(shown) as bar:
        task = bar.add_task("training", total=recipe.train.tokens, loss="")

        def report(done: Done) -> None:
            told = f"step {done.step}, loss {done.loss:.3f}, {done.speed:.0f} tokens/s, MFU {done.mfu:.0%}"
            bar.update(task, completed=done.tokens, loss=told)

        return pretraining.train(recipe, tokenizer, out, report)


def _prepare(recipe_path: Path, out: Path, resume: bool) -> None:
    """The folder belongs to one recipe, so that a checkpoint never meets another one's model or data."""
    kept = out / "recipe.toml"
    if not resume and out.exists():
        if not kept.exists() and any(out.iterdir()):
            raise RecipeError(f"{out} is not the folder of a training run; give another one with --out.")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    text = recipe_path.read_text("utf-8")
    if kept.exists() and kept.read_text("utf-8") != text:
        raise RecipeError(
            f"{out} holds a run of another recipe (or of an older form of this one). "
            "Give another folder with --out, or start anew with --no-resume."
        )
    kept.write_text(text, "utf-8")


def tokenizer_of(recipe: Recipe, out: Path) -> Tokenizer:
    """That of the run in `out`, made if it is not there yet."""
    path, beside = out / "tokenizer.json", out / "tokenizer.json.new"
    if path.exists():
        return Tokenizer.from_file(str(path))
    if recipe.start is not None:
        # Its weights know these tokens and no others.
        shutil.copy(model_file(recipe.start).with_name("tokenizer.json"), beside)
    else:
        random, template = Random(f"tokenizer/{recipe.train.seed}"), Template()
        examples = (training_example(random) for _ in range(recipe.tokenizer_examples))
        texts = (template.render(example.messages, example.tools) for example in examples)
        tokenizer, wanted = train_tokenizer(texts, recipe.model.vocab_size), recipe.model.vocab_size
        if wanted > 2 * tokenizer.get_vocab_size():
            raise RecipeError(
                f"{recipe.tokenizer_examples} tokenizer_examples have {tokenizer.get_vocab_size()} tokens, and "
                f"model.vocab_size is {wanted}: give more of them, or a smaller vocabulary."
            )
        tokenizer.save(str(beside))
    # A run that is killed here must not leave half of one.
    beside.replace(path)
    return Tokenizer.from_file(str(path))


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
        disable=not shown,
    )
