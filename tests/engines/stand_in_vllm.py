"""Stands in for `python -m vllm.entrypoints.openai.api_server`: its options and key, llama.cpp's OpenAI-compatible server behind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from outcrop.engines.llamacpp import worker


def main() -> None:
    options = dict(zip(sys.argv[3::2], sys.argv[4::2], strict=False))
    print(json.dumps({"argv": sys.argv[1:], "offline": os.environ.get("HF_HUB_OFFLINE")}), flush=True)
    os.environ["OUTCROP_WORKER"] = json.dumps(
        {
            "model.path": str(Path(options["--model"])),
            "model_alias": [options["--served-model-name"]],
            "hostnames": [options["--host"]],
            "port": int(options["--port"]),
            "api_keys": [os.environ["VLLM_API_KEY"]],
            "n_ctx": int(options["--max-model-len"]),
            "cpuparams.n_threads": 1,
            "ui": False,
            "verbosity": 1,
        }
    )
    worker.main()


if __name__ == "__main__":
    main()
