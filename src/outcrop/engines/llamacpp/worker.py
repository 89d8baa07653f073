"""The process that a llama.cpp model runs in: `python -m outcrop.engines.llamacpp.worker`, parameters as JSON in `OUTCROP_WORKER`.

It serves llama.cpp's own HTTP interface on a Unix socket until it is told to stop or the process that started it is gone.
Nothing of Outcrop is imported, so that it starts fast.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any


def main() -> None:
    given = json.loads(os.environ.pop("OUTCROP_WORKER"))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import xllamacpp

    server = xllamacpp.Server(parameters(xllamacpp, given))
    print("serving", flush=True)
    threading.Event().wait()
    del server


def parameters(xllamacpp: object, given: dict[str, Any]) -> object:
    """`given` maps names of llama.cpp's parameters, dotted for nested ones, to their values; of adapters, to their files."""
    params = xllamacpp.CommonParams()  # type: ignore[attr-defined]  # the wheel has no types
    if adapters := given.pop("lora_adapters", None):
        # Loaded and not applied: each request says which it wants.
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in adapters]  # type: ignore[attr-defined]  # as above
    for name, value in given.items():
        target = params
        *path, last = name.split(".")
        for part in path:
            target = getattr(target, part)
        setattr(target, last, value)
    return params


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
