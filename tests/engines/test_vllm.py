"""vLLM's life cycle with a stand-in that takes its command line: what is launched, with which key, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from outcrop.engines.engine import ChatRequest, EngineError, EngineFailed, Finish, Message, Sampling, Text
from outcrop.engines.vllm import Vllm
from outcrop.models.specs import house_path
from outcrop.settings import EngineSettings, ModelSpec
from tests.engines.waiting import until

HELLO = ChatRequest((Message("user", (Text("Hello"),)),), sampling=Sampling(max_tokens=4, temperature=0))


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """What the settings name as the Python that has vLLM."""
    script = tmp_path / "python"
    root = Path(__file__).parents[2]
    script.write_text(f'#!/bin/sh\ncd {root} && exec {sys.executable} -m tests.engines.stand_in_vllm "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def engine(tmp_path: Path, interpreter: Path, **changes: object) -> Vllm:
    spec = ModelSpec(
        **{  # type: ignore[arg-type]  # changes are a test's
            "id": "a.model-v1:0", "engine": "vllm", "path": str(house_path()), "python": str(interpreter),
            "context_tokens": 512, "accelerator": "cpu", "arguments": ("--dtype", "float32"), **changes,
        }
    )  # fmt: skip
    return Vllm(spec, EngineSettings(), tmp_path)


def test_it_is_launched_answers_and_ends(tmp_path: Path, interpreter: Path) -> None:
    async def run() -> None:
        vllm = engine(tmp_path, interpreter)
        assert not vllm.ready()
        deltas = [delta async for delta in vllm.chat(HELLO)]
        assert isinstance(deltas[-1], Finish)
        assert deltas[-1].usage.output_tokens == 4
        assert vllm.ready()
        pid = vllm.process.pid
        assert pid is not None
        await vllm.close()
        assert not os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240 - procfs does not block

    asyncio.run(run())
    said = json.loads((tmp_path / "logs" / "a.model-v1:0.log").read_text().splitlines()[0])
    argv = said["argv"]
    assert argv[:2] == ["-m", "vllm.entrypoints.openai.api_server"]
    options = dict(zip(argv[2::2], argv[3::2], strict=False))
    assert options["--model"] == str(house_path())
    assert options["--max-model-len"] == "512"
    assert argv[-2:] == ["--dtype", "float32"]
    assert "--trust-remote-code" not in argv
    assert said["offline"] == "1"


def test_it_is_started_again_when_it_is_killed(tmp_path: Path, interpreter: Path) -> None:
    async def run() -> None:
        vllm = engine(tmp_path, interpreter)
        await vllm.start()
        assert vllm.process.pid is not None
        os.killpg(vllm.process.pid, signal.SIGKILL)
        await until(lambda: vllm.process.restarts == 1 and vllm.ready())
        assert [delta async for delta in vllm.chat(HELLO)]
        await vllm.close()

    asyncio.run(run())


def test_an_interpreter_without_vllm_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        vllm = engine(tmp_path, Path(sys.executable))
        with pytest.raises(EngineFailed, match="vllm"):
            await vllm.start()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("accelerator", "arguments", "environment"),
    [
        ("cuda", "", {}),
        ("cpu", "--enforce-eager ", {"VLLM_CPU_KVCACHE_SPACE": "4", "CUDA_VISIBLE_DEVICES": ""}),
        (
            "neuron",
            "--max-num-seqs 4 --max-num-batched-tokens 2048 ",
            {"VLLM_NEURON_COMPILATION_TIMEOUT": "3600", "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "3600"},
        ),
        (
            "inf2",
            "--max-num-seqs 4 --no-enable-prefix-caching --block-size 32 --num-gpu-blocks-override 128 ",
            {"VLLM_NEURON_FRAMEWORK": "neuronx-distributed-inference"},
        ),
    ],
)
def test_each_accelerator_has_its_launch(
    tmp_path: Path, interpreter: Path, accelerator: str, arguments: str, environment: dict[str, str]
) -> None:
    """For Neuron, AWS's own examples. No `--device`: the plug-ins find the hardware. What the operator adds comes last and wins."""
    vllm = engine(tmp_path, interpreter, accelerator=accelerator, context_tokens=1000)
    launch = vllm._launch()
    port = launch.arguments[launch.arguments.index("--port") + 1]
    assert " ".join(launch.arguments[1:]) == (
        f"-m vllm.entrypoints.openai.api_server --model {house_path()} --served-model-name a.model-v1:0 "
        f"--host 127.0.0.1 --port {port} --max-model-len 1000 {arguments}--dtype float32"
    )
    given = {name: value for name, value in launch.environment.items() if "OFFLINE" not in name}
    assert given.pop("VLLM_API_KEY")
    assert given == {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", **environment}
    assert launch.seconds == {"cuda": 900, "cpu": 600, "neuron": 3600, "inf2": 3600}[accelerator]


def test_on_inf2_the_length_must_be_said(tmp_path: Path, interpreter: Path) -> None:
    with pytest.raises(EngineError, match="needs context_tokens"):
        engine(tmp_path, interpreter, accelerator="inf2", context_tokens=None)


def test_a_model_without_a_path_or_name_is_refused(tmp_path: Path, interpreter: Path) -> None:
    with pytest.raises(EngineError, match="needs a path"):
        engine(tmp_path, interpreter, path=None)
