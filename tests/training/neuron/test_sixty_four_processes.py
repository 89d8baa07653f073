"""The step of one of 64 processes, as many as a trn2.48xlarge has cores, in one process that plays their group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode

from outcrop.training import checkpoint, loop, optimizers, parallel
from outcrop.training.batches import Batch, Position, Step
from outcrop.training.model import Decoder, ModelConfig
from outcrop.training.progress import Metrics

SIZE, PIECES = 64, 100
SHAPE = ModelConfig(256, 128, 192, 2, 4, 4, 64)


class Pieces:
    """One step of many batches."""

    def steps(self, start: Position) -> Iterator[Step]:
        if start == (0, 0):
            torch.manual_seed(4)
            rows = [torch.randint(0, 256, (1, 17)) for _ in range(PIECES)]
            yield Step([Batch(row[:, :-1], row[:, 1:], 16) for row in rows], (0, 1))


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """How often each collective was asked for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.namespace == "c10d":
            self.counts[operation.name().removeprefix("c10d::")] += 1
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("rank", [0, 63])
def test_a_step_moves_a_sixty_fourth_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    dist.init_process_group("fake", rank=rank, world_size=SIZE, store=FakeStore())
    try:
        # What other processes would write to a checkpoint is not there.
        monkeypatch.setattr(checkpoint, "save", lambda *_: None)
        torch.manual_seed(1)
        model = Decoder(SHAPE)
        whole = {name: p.numel() for name, p in model.named_parameters()}
        parallel.shard(model)
        held = {name: p.to_local() for name, p in model.named_parameters() if isinstance(p, DTensor)}
        assert held.keys() == whole.keys()
        for name, part in held.items():
            assert part.numel() * SIZE == whole[name], name
        before = {name: part.detach().clone() for name, part in held.items()}
        job = loop.Job(model, [optimizers.adamw(model, 1e-2, 0.0)], Pieces(), lambda _: 1.0)
        with Traffic() as traffic:
            progress = loop.run(job, tmp_path, [Metrics(tmp_path / "metrics.csv", "training")], lambda _: None)
    finally:
        dist.destroy_process_group()
    # Each process computes two of the hundred pieces, the last ones blank; in each, all weights of a layer are gathered for
    # forward and again for backward, those around the layers once, and gradients are dealt out.
    gathered, layers = 2, SHAPE.layers
    assert traffic.counts["_allgather_base_"] == gathered * (2 * layers + 1)
    assert traffic.counts["_reduce_scatter_base_"] == gathered * (layers + 1)
    assert traffic.counts["allreduce_"] == 1
    assert progress.step == 1
    assert progress.tokens == PIECES * 16
    for name, part in held.items():
        assert not torch.equal(part, before[name]), name
