"""`python -m outcrop.training.customizing SPEC` on the fake device; messages of progress say how many programs there are."""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch._dynamo as dynamo

from outcrop.training import optimizers
from outcrop.training.customizing import messages
from outcrop.training.customizing.__main__ import main
from tests.training.neuron import device

COMPILED: list[torch.fx.GraphModule] = []


def compiled(graph: torch.fx.GraphModule, examples: Any) -> Any:
    """Stands for `torch.compile(backend="neuron")`: counts what it is given and runs it as it is."""
    COMPILED.append(graph)
    return graph.forward


def tell(self: messages.JsonLines, message: dict[str, Any]) -> None:
    if message["type"] == "progress":
        half = sum(dtype == torch.bfloat16 for _, tensors in device.PROGRAMS for _, dtype in tensors)
        message = {**message, "programs": len(device.PROGRAMS), "compiled": len(COMPILED), "bfloat16": half}
    told(self, message)


if __name__ == "__main__":
    kept = device.register()
    dynamo.register_backend(compiled, name="neuron")
    # Measured by large matrices, which would take the CPU underneath a minute.
    optimizers.peak_flops = lambda where, *, bf16: 1e12
    told, messages.JsonLines.tell = messages.JsonLines.tell, tell  # type: ignore[method-assign]  # a test's
    sys.exit(main(sys.argv[1:]))
