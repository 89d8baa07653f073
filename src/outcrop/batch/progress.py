"""How far a batch job is: its checkpoint, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outcrop.batch.output import Runs


@dataclass(slots=True)
class Progress:
    """`file`, `line` and `offset` are behind the last record that a part holds; `parts` counts this attempt's parts."""

    inputs: int
    total: int
    file: int = 0
    line: int = 0
    offset: int = 0
    runs: Runs = field(default_factory=Runs)
    joined: int = 0
    success: int = 0
    error: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    parts: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        counts = state["counts"]
        return cls(
            inputs=state["inputs"],
            total=counts["total"],
            file=state["file"],
            line=state["line"],
            offset=state["offset"],
            runs=Runs(state["runs"]),
            joined=state["joined"],
            success=counts["success"],
            error=counts["error"],
            input_tokens=counts["input_tokens"],
            output_tokens=counts["output_tokens"],
        )

    @property
    def processed(self) -> int:
        return self.success + self.error

    def state(self, phase: str) -> dict[str, Any]:
        return {
            "phase": phase,
            "inputs": self.inputs,
            "file": self.file,
            "line": self.line,
            "offset": self.offset,
            "runs": [list(run) for run in self.runs.known],
            "joined": self.joined,
            "counts": {
                "total": self.total,
                "success": self.success,
                "error": self.error,
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
            },
        }

    def manifest(self) -> dict[str, int]:
        return {
            "totalRecordCount": self.total,
            "processedRecordCount": self.processed,
            "successRecordCount": self.success,
            "errorRecordCount": self.error,
            "inputTokenCount": self.input_tokens,
            "outputTokenCount": self.output_tokens,
        }
