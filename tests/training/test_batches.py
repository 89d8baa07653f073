"""Batches: packing changes nothing but the shape; rows on disk come back, once each, from anywhere, and need little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("numpy")

import numpy as np
import torch

from outcrop.training.batches import Batch, Row, packed, padded, pieces
from outcrop.training.model import Decoder, ModelConfig
from outcrop.training.objectives import next_token
from outcrop.training.rows import Rows, RowSource, RowWriter


@pytest.fixture
def model() -> Decoder:
    torch.manual_seed(0)
    return Decoder(ModelConfig(100, 64, 96, 2, 4, 2, 64))


def rows(count: int, longest: int = 40) -> list[Row]:
    random = np.random.default_rng(5)
    lengths = random.integers(2, longest, count)
    return [Row(random.integers(1, 100, n), np.arange(n) >= n // 2) for n in lengths]


def losses(model: Decoder, batches: list[Batch]) -> tuple[float, int, list[torch.Tensor]]:
    model.zero_grad()
    total, count = 0.0, 0
    for batch in batches:
        loss, counted = next_token(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        total, count = total + loss.item(), count + int(counted)
    return total, count, [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_packed_rows_have_the_loss_and_the_gradient_of_single_ones(model: Decoder) -> None:
    given = rows(23)
    alone, count, gradient = losses(model, [padded([row]) for row in given])
    for batches in (pieces(given, 256, 64), pieces(given, 256, None)):
        together, counted, gradients = losses(model, batches)
        assert counted == count == sum(int(row.counted[1:].sum()) for row in given)
        assert together == pytest.approx(alone, rel=1e-5)
        for ours, theirs in zip(gradients, gradient, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_without_document_masks_it_would_not(model: Decoder) -> None:
    from dataclasses import replace

    given = rows(23)
    alone, _, _ = losses(model, [padded([row]) for row in given])
    blind, _, _ = losses(model, [replace(batch, documents=None) for batch in pieces(given, 256, 64)])
    assert abs(blind - alone) > 1e-3


def test_packed_batches_have_one_shape_and_hold_everything() -> None:
    given = rows(40)
    batches = pieces(given, 256, 64)
    assert {batch.inputs.shape for batch in batches} == {(4, 64)}
    assert sum(batch.tokens for batch in batches) == sum(len(row.ids) for row in given)
    assert sum(int(batch.documents.count_nonzero()) for batch in batches if batch.documents is not None) == sum(
        len(row.ids) for row in given
    )
    assert len(batches) < len(pieces(given, 64, 64))


def test_other_devices_compute_the_whole_head(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed shapes: no selection by a mask. The `meta` device computes shapes and nothing else."""
    batch = packed([rows(3, 20)], 1, 64).to(torch.device("meta"))
    loss, count = next_token(model.to("meta"), batch)
    assert (loss.shape, count.shape) == ((), ())


def test_what_other_processes_compute_counts_nothing(model: Decoder) -> None:
    batch = padded(rows(3))
    loss, count, gradient = losses(model, [batch.blank()])
    assert (loss, count) == (0.0, 0)
    assert all(float(part.abs().max()) == 0 for part in gradient)


def stored(path: Path, given: list[Row], shard_tokens: int = 200) -> Rows:
    with RowWriter(path, 100, shard_tokens) as writer:
        for row in given:
            writer.append(row.ids.tolist(), row.counted.tolist())
    return Rows(path)


def test_rows_come_back_from_disk(tmp_path: Path) -> None:
    given = rows(60)
    found = stored(tmp_path / "rows", given)
    assert len(found.sizes) > 3
    assert (len(found), found.tokens) == (60, sum(len(row.ids) for row in given))
    again = [found.shard(shard).row(row) for shard, size in enumerate(found.sizes) for row in range(size)]
    for ours, theirs in zip(again, given, strict=True):
        assert np.array_equal(ours.ids, theirs.ids)
        assert np.array_equal(ours.counted, theirs.counted)


def test_a_writer_that_fails_leaves_no_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no token"), RowWriter(tmp_path / "rows", 100) as writer:
        writer.append([1, "no token"], [True, True])  # type: ignore[list-item]  # that is the mistake
    assert not (tmp_path / "rows" / "index.json").exists()


@pytest.mark.parametrize("width", [None, 64])
def test_a_source_gives_each_row_once_an_epoch_and_begins_anywhere(tmp_path: Path, width: int | None) -> None:
    found = stored(tmp_path / "rows", given := rows(61))
    source = RowSource(found, seed=7, epochs=2, batch_size=4, batch_tokens=256, width=width)
    whole = list(source.steps((0, 0)))
    assert len(whole) == 2 * source.steps_in_epoch == 32
    assert [step.ends_epoch for step in whole] == ([False] * 15 + [True]) * 2
    for epoch in (whole[:16], whole[16:]):
        assert sum(piece.tokens for step in epoch for piece in step.pieces) == sum(len(row.ids) for row in given)
    assert not torch.equal(whole[0].pieces[0].inputs, whole[16].pieces[0].inputs)
    for place in (0, 5, 15, 16, 30):
        start = whole[place].after
        rest = list(source.steps(start))
        assert len(rest) == 31 - place
        for ours, theirs in zip(rest, whole[place + 1 :], strict=True):
            assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(ours.pieces, theirs.pieces, strict=True))


def test_rows_of_a_step_are_of_like_length(tmp_path: Path) -> None:
    found = stored(tmp_path / "rows", rows(600, longest=200), shard_tokens=10**6)
    source = RowSource(found, seed=7, epochs=1, batch_size=8, batch_tokens=4096)
    useful = [(piece.tokens, piece.inputs.numel()) for step in source.steps((0, 0)) for piece in step.pieces]
    assert sum(tokens for tokens, _ in useful) > 0.85 * sum(places for _, places in useful)


LARGER_THAN_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from outcrop.training.rows import Rows, RowSource
rows = Rows(Path(sys.argv[1]))
source = RowSource(rows, seed=1, epochs=1, batch_size=1, batch_tokens=64)
next(source.steps((0, 0)))
status = Path("/proc/self/status").read_text()
used = int(status.split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + (12 << 20), used + (12 << 20)))
try:
    np.fromfile(Path(sys.argv[1]) / "00000.ids", np.uint16).copy()
    print("the limit does not hold")
except MemoryError:
    print(sum(piece.tokens for step in source.steps((0, 0)) for piece in step.pieces))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what is allocated and leaves out what is mapped")
def test_data_larger_than_memory_is_streamed(tmp_path: Path) -> None:
    """24 MB of rows with 12 MB to spend, which reading them whole would exceed."""
    length, count = 65536, 128
    with RowWriter(tmp_path / "rows", 100) as writer:
        for _ in range(count):
            writer.append([1] * length, [True] * length)
    script = [sys.executable, "-c", LARGER_THAN_MEMORY, str(tmp_path / "rows")]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == str(length * count), done.stderr[-500:]
