"""Settings: one TOML file, checked at start, with a sentence for every mistake.

Looked for in `--settings`, `$OUTCROP_SETTINGS`, `$OUTCROP_HOME/settings.toml`; without any, the defaults below serve the house model.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

HOUSE_MODEL = "outcrop.house-nano-v1:0"

# Forms of InvokeModel's bodies. "imported" is what Custom Model Import takes.
FamilyName = Literal[
    "anthropic", "nova", "titan-text", "titan-embed-v1", "titan-embed-v2", "titan-embed-image", "amazon-rerank", "llama",
    "mistral", "mistral-chat", "cohere-command-r", "cohere-command", "cohere-embed", "cohere-embed-v4", "cohere-rerank",
    "jamba", "deepseek-r1", "openai-chat", "imported",
]  # fmt: skip


class SettingsError(Exception):
    """A sentence for the person who wrote the file."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how requests are taken. `log` is one line a request on standard error."""

    host: str = "127.0.0.1"
    port: int = 8484
    tls: bool = False
    max_body_bytes: int = 32 * 1024 * 1024
    log: Literal["json", "text", "off"] = "text"


class IdentitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`window_seconds`: how far a signature's date may be from now. `insecure_no_auth` is for throw-away use on loopback only."""

    window_seconds: int = 300
    insecure_no_auth: bool = False


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits for engines that run on this machine.

    `memory_mb`: idle models are unloaded to stay below it; none is no limit. `idle_seconds`: a model without a request for
    that long is unloaded. `start_seconds`: how long a start may take. `threads` of each model; none is one less than cores.
    `prewarm` loads all models before the first request.
    """

    memory_mb: int | None = None
    idle_seconds: float = 600.0
    start_seconds: float = 120.0
    threads: int | None = None
    prewarm: bool = False


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One catalogue entry: an id like Bedrock's and the engine that answers for it.

    `path` is a GGUF file or a Hugging Face folder (llamacpp, vllm); `url` an OpenAI-compatible base URL such as
    `http://127.0.0.1:8000/v1` (openai); `model` the name the engine knows it by; `api_key_env` names the environment
    variable that holds its key; `script` is the scripted engine's file of prepared answers; `projector` is the GGUF file
    that turns images into embeddings (llamacpp); `python` the interpreter that has vLLM, if not Outcrop's own;
    `family` is the form of the bodies that InvokeModel takes, where the id does not say it (`meta.llama...` does).
    """

    id: str
    engine: Literal["llamacpp", "openai", "vllm", "scripted"]
    name: str | None = None
    provider: str | None = None
    path: str | None = None
    url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    script: str | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    slots: int = 4
    threads: int | None = None
    prewarm: bool = False
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    accelerator: Literal["cpu", "cuda", "neuron"] = "cpu"
    projector: str | None = None
    python: str | None = None
    images: bool = False
    tools: bool | None = None
    embeddings: bool = False
    family: FamilyName | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`aliases` maps an id or a pattern with `*` (`anthropic.*`) to a catalogue id; the longest matching pattern wins."""

    region: str = "us-east-1"
    server: Server = Server()
    identity: IdentitySettings = IdentitySettings()
    engines: EngineSettings = EngineSettings()
    house_model: bool = True
    models: tuple[ModelSpec, ...] = ()
    aliases: dict[str, str] = {}


def home() -> Path:
    """The data folder: `$OUTCROP_HOME`, else `~/.outcrop`."""
    return Path(os.environ.get("OUTCROP_HOME") or Path.home() / ".outcrop").expanduser()


def load(path: Path | None = None) -> Settings:
    """Read and check the settings; SettingsError says which file and which key."""
    chosen = path or _from_environment()
    if chosen is None:
        return Settings()
    try:
        return msgspec.convert(tomllib.loads(chosen.read_text("utf-8")), Settings)
    except FileNotFoundError:
        raise SettingsError(f"The settings file {chosen} does not exist.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{chosen} is not valid TOML: {problem}") from None
    except msgspec.ValidationError as problem:
        raise SettingsError(f"{chosen}: {problem}") from None


def _from_environment() -> Path | None:
    if named := os.environ.get("OUTCROP_SETTINGS"):
        return Path(named)
    default = home() / "settings.toml"
    return default if default.exists() else None
