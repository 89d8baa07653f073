"""A tiny run: it learns, goes on exactly where it was interrupted, and keeps its folder to one recipe."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

import torch
from tokenizers import Tokenizer

from outcrop.training import pretraining, run
from outcrop.training.data import GeneratedSource
from outcrop.training.model import Decoder
from outcrop.training.muon import orthogonalise
from outcrop.training.pretraining import METRICS, rate
from outcrop.training.progress import Progress
from outcrop.training.recipe import RecipeError, load
from outcrop.training.tokenizer import Template


class Interrupted(Exception):
    pass


def test_an_interrupted_run_ends_as_an_undisturbed_one(tmp_path: Path, recipe_file: Path, tokenizer: Tokenizer) -> None:
    recipe = load(recipe_file)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    model, progress = pretraining.train(recipe, tokenizer, whole, lambda _: None)

    def stop_at(step: int) -> None:
        def report(done: Progress) -> None:
            # The row of this step is written, its checkpoint is not: both must be done again.
            if done.step == step:
                raise Interrupted

        with pytest.raises(Interrupted):
            pretraining.train(recipe, tokenizer, broken, report)

    stop_at(3)
    assert len(rows(broken)) == 3
    stop_at(7)
    again, resumed = pretraining.train(recipe, tokenizer, broken, lambda _: None)

    assert (resumed.step, resumed.tokens, resumed.position) == (progress.step, progress.tokens, progress.position)
    for ours, theirs in zip(rows(broken), rows(whole), strict=True):
        assert ours["step_number"] == theirs["step_number"]
        assert float(ours["training_loss"]) == pytest.approx(float(theirs["training_loss"]), abs=1e-6)
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, again.state_dict()[name], atol=1e-6), name

    losses = [float(row["training_loss"]) for row in rows(whole)]
    assert [int(row["step_number"]) for row in rows(whole)] == list(range(1, len(losses) + 1))
    assert losses[-1] < losses[0] - 0.7


def test_a_finished_run_is_not_trained_further(tmp_path: Path, recipe_file: Path, tokenizer: Tokenizer) -> None:
    recipe = load(recipe_file)
    _, first = pretraining.train(recipe, tokenizer, tmp_path, lambda _: None)
    before = (tmp_path / METRICS).read_text()
    _, second = pretraining.train(recipe, tokenizer, tmp_path, lambda _: None)
    assert second == first
    assert (tmp_path / METRICS).read_text() == before


def test_a_broken_off_checkpoint_is_passed_over(tmp_path: Path, recipe_file: Path, tokenizer: Tokenizer) -> None:
    half = tmp_path / "checkpoint" / "step-9.partial"
    half.mkdir(parents=True)
    (half / "progress.json").write_text("{")
    _, progress = pretraining.train(load(recipe_file), tokenizer, tmp_path, lambda _: None)
    assert progress.step > 1
    assert [folder.name for folder in (tmp_path / "checkpoint").iterdir()] == [f"step-{progress.step}"]


@pytest.fixture
def source(tokenizer: Tokenizer) -> GeneratedSource:
    return GeneratedSource(tokenizer, Template(), seed=4, step_tokens=8192, batch_tokens=4096, context=512)


def test_the_stream_begins_anywhere(source: GeneratedSource) -> None:
    def inputs(start: tuple[int, int], count: int) -> list[torch.Tensor]:
        return [batch.inputs for batch, _ in itertools.islice(source.batches(start), count)]

    pool = source.pool(0)
    whole = inputs((0, 0), len(pool) + 2)
    for pair in zip(whole[len(pool) - 2 :], inputs((0, len(pool) - 2), 4), strict=True):
        assert torch.equal(*pair)
    assert not torch.equal(whole[0], whole[len(pool)])


def test_batches_hold_their_examples_and_count_no_padding(source: GeneratedSource) -> None:
    for batch in source.pool(0):
        rows_, width = batch.inputs.shape
        assert rows_ * width <= 4096
        assert width % 16 == 0
        lengths = (batch.inputs != 0).sum(1)
        assert int(lengths.sum()) == batch.tokens
        counted = batch.targets != -100
        assert counted.any(1).all()
        # Each target is the next input.
        shifted = torch.cat([batch.inputs[:, 1:], torch.zeros((rows_, 1), dtype=torch.long)], dim=1)
        assert torch.equal(batch.targets[counted], shifted[counted])


def test_the_learning_rate_warms_up_stays_and_falls(recipe_file: Path) -> None:
    train = load(recipe_file).train
    shares = [rate(train, tokens) for tokens in range(0, train.tokens, 100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == 1.0
    assert shares.index(1.0) <= train.warmup * len(shares) + 2
    assert shares[-1] < 0.05
    assert all(share >= 0.02 for share in shares)


def test_muon_s_updates_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((32, 96), (96, 32)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.3


def test_the_future_is_not_seen(recipe_file: Path) -> None:
    torch.manual_seed(0)
    model = Decoder(pretraining.config_of(load(recipe_file)))
    ids = torch.randint(0, 512, (1, 20))
    changed = ids.clone()
    changed[0, 12] += 1
    with torch.no_grad():
        first, second = model(ids), model(changed % 512)
    assert torch.allclose(first[:, :12], second[:, :12], atol=1e-6)
    assert not torch.allclose(first[:, 12:], second[:, 12:], atol=1e-3)


def test_a_folder_belongs_to_one_recipe(tmp_path: Path, recipe_file: Path) -> None:
    out = tmp_path / "out"
    run._prepare(recipe_file, out, resume=True)
    run._prepare(recipe_file, out, resume=True)
    (out / "checkpoint.pt").write_bytes(b"kept")
    recipe_file.write_text(recipe_file.read_text() + "\n# other\n")
    with pytest.raises(RecipeError, match="another recipe"):
        run._prepare(recipe_file, out, resume=True)
    assert (out / "checkpoint.pt").exists()
    run._prepare(recipe_file, out, resume=False)
    assert not (out / "checkpoint.pt").exists()


def test_no_resume_never_empties_a_stranger_s_folder(tmp_path: Path, recipe_file: Path) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(RecipeError, match="not the folder of a training run"):
        run._prepare(recipe_file, out, resume=False)
    assert (out / "thesis.txt").exists()


def rows(out: Path) -> list[dict[str, str]]:
    with (out / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))
