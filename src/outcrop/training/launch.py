"""How training is started on one machine or several: `torchrun`'s command and environment for each kind of device. No torch here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from outcrop.training.customizing.spec import Spec
from outcrop.training.recipe import Recipe

Profile = Literal["cpu", "cuda", "neuron"]

# What torchrun calls "one process for each device"; on CPUs it would be one for each core, each with weights of its own.
_FOR_EACH_DEVICE = {"cpu": "1", "cuda": "gpu", "neuron": "neuron"}
# Between Trainium machines collectives go over the Elastic Fabric Adapter (AWS, "Prepare for multi-node execution").
# The last one is needed by Linux before 5.15 and ignored by later ones.
_FABRIC: Mapping[str, str] = {"FI_PROVIDER": "efa", "FI_EFA_USE_DEVICE_RDMA": "1", "FI_EFA_FORK_SAFE": "1"}
# In torch 2.13 a machine that comes back is not told where the first process listens, if that is where it was before: its
# address is published once. Without the shared store it is published at each rendezvous.
_SEVERAL: Mapping[str, str] = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


class LaunchError(Exception):
    """A sentence on why training cannot be started so."""


@dataclass(frozen=True, slots=True)
class Machines:
    """`processes` on each machine; None: one for each accelerator, on CPUs one. `rendezvous`: HOST:PORT of machine 0, where all meet.

    `restarts`: how often all processes are started anew, from the newest checkpoint, after one has failed.
    """

    nodes: int = 1
    node_rank: int = 0
    processes: int | None = None
    rendezvous: str | None = None
    restarts: int = 3


@dataclass(frozen=True, slots=True)
class Launch:
    command: list[str]
    environment: dict[str, str]

    def line(self) -> str:
        """For a shell."""
        return " ".join(
            [*(f"{name}={shlex.quote(value)}" for name, value in self.environment.items()), shlex.join(self.command)]
        )


def launch(profile: Profile, machines: Machines, name: str, module: str, arguments: Sequence[str]) -> Launch:
    """Of this machine: the same on all but for `node_rank`. `name` is the run's, by which machines know each other."""
    if mistake := _mistake(machines):
        raise LaunchError(mistake)
    command = [sys.executable, "-m", "torch.distributed.run"]
    if machines.nodes == 1 and machines.rendezvous is None:
        command += ["--standalone"]
    else:
        assert machines.rendezvous is not None, "checked above"
        # Who holds the rendezvous is said, because several addresses of one machine may look like its own.
        host = "is_host=1" if machines.node_rank == 0 else "is_host=0"
        command += ["--nnodes", str(machines.nodes), "--rdzv-backend", "c10d"]
        command += ["--rdzv-endpoint", machines.rendezvous, "--rdzv-id", name, "--rdzv-conf", host]
    command += ["--nproc-per-node", str(machines.processes or _FOR_EACH_DEVICE[profile])]
    command += ["--max-restarts", str(machines.restarts), "-m", module, *arguments]
    environment = {**_SEVERAL, **(_FABRIC if profile == "neuron" else {})} if machines.nodes > 1 else {}
    return Launch(command, environment)


def of_spec(profile: Profile, machines: Machines, path: Path, spec: Spec) -> Launch:
    if profile == "neuron" and (reason := _unfit(spec)):
        raise LaunchError(f"{path}: {reason}")
    return launch(profile, machines, f"outcrop-{spec.name}", "outcrop.training.customizing", [str(path)])


def of_recipe(profile: Profile, machines: Machines, path: Path, recipe: Recipe, options: Sequence[str] = ()) -> Launch:
    if profile == "neuron":
        if not recipe.train.compile:
            raise LaunchError(f"{path}: {_UNCOMPILED}")
        if recipe.train.precision == "fp32":
            raise LaunchError(f"{path}: {_SLOW}")
    return launch(profile, machines, f"outcrop-{recipe.name}", "outcrop", ["train", str(path), *options])


_UNCOMPILED = "On Trainium compile must be true: op by op it is slow."
_SLOW = 'On Trainium precision must be "bf16" or "auto", which is bf16 there.'


def _unfit(spec: Spec) -> str | None:
    """Trainium compiles once for each shape, for minutes; what has many shapes would do nothing else."""
    if spec.packed is False:
        return "On Trainium packed must not be false: rows of many lengths are many shapes, each compiled anew."
    if spec.hyperparameters.precision == "fp32":
        return _SLOW
    if not spec.hyperparameters.compile:
        return _UNCOMPILED
    if spec.kind in ("reinforcement", "preference"):
        return f"On Trainium the kind {spec.kind} is not for now: its batches have many shapes, each compiled anew."
    return None


def _mistake(machines: Machines) -> str | None:
    if machines.nodes < 1 or not 0 <= machines.node_rank < machines.nodes:
        return f"There are {machines.nodes} machines, numbered from 0; {machines.node_rank} is none of them."
    if machines.processes is not None and machines.processes < 1:
        return "There must be at least one process on each machine."
    if machines.restarts < 0:
        return "The number of restarts must not be negative."
    if machines.rendezvous is None:
        return (
            "Several machines need a rendezvous: HOST:PORT of machine 0, the same on all."
            if machines.nodes > 1
            else None
        )
    host, _, port = machines.rendezvous.rpartition(":")
    return None if host and port.isdecimal() and 0 < int(port) < 65536 else f"{machines.rendezvous!r} is not HOST:PORT."
