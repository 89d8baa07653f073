"""Several processes under `torchrun`: weights sharded by FSDP2, batches dealt out, sums made whole. Alone, nothing of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from outcrop.training.batches import Batch
from outcrop.training.model import Decoder, device

T = TypeVar("T")


@contextmanager
def world() -> Iterator[None]:
    """Joins the other processes that `torchrun` started, if it did."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    where = device()
    if where.type != "cpu":
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(dist.get_default_backend_for_device(where))
    try:
        yield
    finally:
        dist.destroy_process_group()


def together() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if together() else 0


def size() -> int:
    return dist.get_world_size() if together() else 1


def wait() -> None:
    if together():
        dist.barrier()


def shard(model: Decoder) -> None:
    """Each layer, and what is left, is cut over all processes."""
    if together():
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device().type, (size(),))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)


def reshard(model: nn.Module) -> None:
    """After forward without backward: what is outside the layers stays whole until a backward that does not come."""
    if together():
        from torch.distributed.fsdp import FSDPModule

        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def mine(pieces: Sequence[Batch]) -> list[Batch]:
    """This process's share. All get equally many, because each computes only while the others do."""
    dealt = [*pieces, *(pieces[-1].blank() for _ in range(-len(pieces) % size()))]
    return dealt[rank() :: size()]


def summed(values: Tensor) -> Tensor:
    if together():
        dist.all_reduce(values)
    return values


def first_ones(make: Callable[[], T]) -> T:
    """What the first process makes, on all; it is made nowhere else."""
    if not together():
        return make()
    found: list[Any] = [make() if rank() == 0 else None]
    dist.broadcast_object_list(found, 0)
    made: T = found[0]
    return made


def agreed(wish: bool) -> bool:
    """The first process's wish, on all."""
    if not together():
        return wish
    wanted = torch.tensor(int(wish), device=device())
    dist.broadcast(wanted, 0)
    return bool(wanted)


def whole(model: nn.Module, *, trained_only: bool = False) -> dict[str, Tensor]:
    """The weights on the first process's CPU; empty on the others. All must call it."""
    if not together():
        named = model.named_parameters()
        return {name: p.detach().cpu() for name, p in named if p.requires_grad or not trained_only}
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=trained_only)
    found: Any = get_model_state_dict(model, options=options)
    return dict(found)
