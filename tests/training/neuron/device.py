"""A device `neuron` in Python, as TorchNeuron registers its own: PrivateUse1 under another name. It computes on the CPU.

It refuses float64, as Trainium has none, and counts programs: Trainium compiles each operation anew for each shape. To
register it changes torch for good, so it belongs into processes of its own.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
import torch.utils._pytree as tree
from torch._C import DispatchKey, DispatchKeySet, _ExcludeDispatchKeyGuard
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

# (operation, (shape, dtype) of each tensor on the device): what Trainium would have compiled.
PROGRAMS: set[tuple[str, tuple[tuple[tuple[int, ...], torch.dtype], ...]]] = set()
# What autocast computes in the lower precision, of what a decoder needs (as on CUDA).
LOWERED = ("linear", "matmul", "mm", "bmm", "addmm", "scaled_dot_product_attention")
NAME = "neuron"


class Float64Refused(TypeError):
    pass


class OnDevice(torch.Tensor):
    """`held` is the CPU's tensor that stands for the device's memory."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # as torch's own subclasses do

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch's stub leaves the operation out
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return compute(operation, args, kwargs or {})

    def tolist(self) -> Any:
        return self.held.tolist()

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, torch.Tensor], _: None, size: Any, stride: Any) -> OnDevice:
        return OnDevice(parts["held"])


# Dynamo compiles the trainer's code, not the device's.
@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
def compute(operation: Any, args: Any, kwargs: Any) -> Any:
    given = [leaf for leaf in tree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    mine = [tensor for tensor in given if isinstance(tensor, OnDevice)]
    PROGRAMS.add((str(operation), tuple((tuple(tensor.shape), tensor.dtype) for tensor in mine)))
    elsewhere = kwargs.get("device")
    stays = elsewhere is not None and torch.device(elsewhere).type != NAME
    # What is written in place, or copied to, is the tensor that was given.
    known = {id(tensor.held): tensor for tensor in mine} | {id(t): t for t in given if not isinstance(t, OnDevice)}

    def held(leaf: Any) -> Any:
        if isinstance(leaf, OnDevice):
            return leaf.held
        return torch.device("cpu") if isinstance(leaf, torch.device) and leaf.type == NAME else leaf

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or stays:
            return leaf
        if leaf.dtype == torch.float64:
            raise Float64Refused(f"{operation} would put float64 on the device")
        return known[id(leaf)] if id(leaf) in known else OnDevice(leaf)

    return tree.tree_map(placed, operation(*tree.tree_map(held, args), **tree.tree_map(held, kwargs)))


class Stream:
    """All is done when it returns."""

    def synchronize(self) -> None:
        pass

    def wait_stream(self, other: Stream) -> None:
        pass


class Backend(_DummyBackendModule):
    """What `torch.neuron` offers: the least that autocast, random numbers and checkpoints ask for."""

    def current_stream(self) -> Stream:
        return Stream()

    def stream(self, which: Stream) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = 0) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = 0) -> None:
        torch.set_rng_state(state)


def lowered(name: str) -> Any:
    """The operation with its float32 tensors in autocast's type."""
    operation = getattr(torch.ops.aten, name)
    below = DispatchKeySet(DispatchKey.AutocastPrivateUse1)  # type: ignore[attr-defined]  # torch's stub lacks it

    def cast(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float32:
            return leaf.to(torch.get_autocast_dtype(NAME))
        return leaf

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
    def call(*args: Any, **kwargs: Any) -> Any:
        with _ExcludeDispatchKeyGuard(below):
            return operation(*tree.tree_map(cast, args), **tree.tree_map(cast, kwargs))

    return call


def register() -> list[torch.library.Library]:
    """The kernels last as long as what is returned."""
    _setup_privateuseone_for_python_backend(rename=NAME, backend_module=Backend())
    # torch.library is untyped.
    library: Any = torch.library
    everything, autocast = library.Library("_", "IMPL"), library.Library("aten", "IMPL")
    everything.fallback(lambda operation, *args, **kwargs: compute(operation, args, kwargs), "PrivateUse1")
    # All else passes through.
    everything.fallback(library.fallthrough_kernel, "AutocastPrivateUse1")
    for name in LOWERED:
        autocast.impl(name, lowered(name), "AutocastPrivateUse1")
    return [everything, autocast]
