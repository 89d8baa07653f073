"""The process that looks into a model's files: `python -m outcrop.model_import.converting FOLDER`.

It prints what the model is as JSON, or `{"refused": "a sentence"}`. A process of its own, so that files made to be costly or to
bring a reader down cost and bring down nothing else. It ends when its standard input does, with whoever started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

CONVERTED = "model.gguf"


def examined(folder: Path) -> dict[str, Any]:
    """`file` is what an engine loads; WeightsError with a sentence if there is nothing to load."""
    from outcrop.engines.weights import gguf, huggingface

    files = sorted(folder.glob("*.gguf"))
    given = [file for file in files if file.name != CONVERTED]
    if given and not (folder / "config.json").exists():
        return _told(gguf.inspect(given[0]))
    source = huggingface.check(folder)
    from outcrop.engines.weights import convert

    target = folder / CONVERTED
    if not target.exists():
        convert.to_gguf(folder, target, _quantization(sum(t.end - t.start for t in source.tensors.values())))
    return {**_told(gguf.inspect(target)), "architecture": str(source.config["architectures"][0])}


def _quantization(size: int) -> Any:
    """Half precision is the model as it came; beyond a gigabyte, a quarter less memory and twice the speed count for more."""
    return "f16" if size <= 1 << 30 else "q8_0"


def _told(file: Any) -> dict[str, Any]:
    return {
        "file": file.path.name,
        "architecture": file.architecture,
        "instruct": file.chat_template is not None,
        "parameters": file.parameters,
    }


def main() -> None:
    from outcrop.engines.weights import WeightsError

    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(sys.argv[1])
    try:
        answer = examined(folder)
    except WeightsError as problem:
        # The reader wants no paths of this machine.
        answer = {"refused": str(problem).replace(f"{folder}/", "").replace(str(folder), "The folder")}
    print(json.dumps(answer), flush=True)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
