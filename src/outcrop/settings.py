"""Settings: one TOML file, checked at start, with a sentence for every mistake.

Looked for in `--settings`, `$OUTCROP_SETTINGS`, `$OUTCROP_HOME/settings.toml`; without any, the defaults below serve the house model.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

HOUSE_MODEL = "outcrop.house-nano-v1:0"

# It stands in headers and names of files.
_ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_HTTP = re.compile(r"https?://[^/]")

# Forms of InvokeModel's bodies. "imported" is what Custom Model Import takes.
FamilyName = Literal[
    "anthropic", "nova", "titan-text", "titan-embed-v1", "titan-embed-v2", "titan-embed-image", "amazon-rerank", "llama",
    "mistral", "mistral-chat", "cohere-command-r", "cohere-command", "cohere-embed", "cohere-embed-v4", "cohere-rerank",
    "jamba", "deepseek-r1", "gpt-oss", "openai-chat", "imported",
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


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`metrics_port` serves Prometheus metrics on `metrics_host`, unsigned: keep it where only Prometheus comes.

    `traces` is the URL that OpenTelemetry traces are sent to, such as `http://127.0.0.1:4318/v1/traces`.
    """

    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    traces: str | None = None


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where accounts, keys and resources are kept: the SQLite file `outcrop.db` in the data folder, or a PostgreSQL database.

    `url` is its address, such as `postgresql://outcrop@db.example/outcrop`; the password is better in `PGPASSWORD` or in
    `~/.pgpass`.
    """

    url: str | None = None

    def __post_init__(self) -> None:
        if self.url is not None and not self.url.startswith(("postgresql://", "postgres://")):
            raise ValueError("a database's url begins with postgresql://; without one it is a file in the data folder")


class EncryptionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Encryption of stored content under keys of the accounts. `enabled = false`: only what names a key is encrypted anew.

    What was encrypted before can be read in any case; `outcrop encryption` has the keys.
    """

    enabled: bool = True


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record for each call, in the folder `audit` beside the database; `outcrop audit verify` checks them."""

    enabled: bool = True


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much an account may ask of a model; `account` and `model` may have `*`. Every rule that fits counts.

    Each account and model is counted apart. A request takes its input and its `maxTokens` (the model's most, if it names
    none) when it begins and gives back what it did not use; `output_weight` is how often a token of output counts.
    """

    account: str = "*"
    model: str = "*"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    output_weight: float = 1.0


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


class EngineSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What answers for a model.

    `path` is a GGUF file or a Hugging Face folder (llamacpp, vllm); `url` an OpenAI-compatible base URL such as
    `http://127.0.0.1:8000/v1` (openai), or another address than Amazon's or Anthropic's own (bedrock, anthropic);
    `model` the name the engine knows it by; `api_key_env` names the environment variable that holds its key; `region`
    and `profile` are for AWS credentials (bedrock); `script` is the scripted engine's file of prepared answers;
    `projector` is the GGUF file that turns images into embeddings (llamacpp); `python` the interpreter that has vLLM,
    if not Outcrop's own. What an engine elsewhere can do is taken from here: `images`, `tools`, `json_schema`,
    `reasoning`, `streaming`, `embeddings`, `rerank`. `concurrency`: how many requests it works on at once; none: the
    `slots` of a llama.cpp model, and no limit elsewhere. `queue`: how many more may wait; none: 8 for each that
    works. `cloud`: an OpenAI-compatible server that takes OpenAI's own parameters and no others; none: by its URL.
    `silence_seconds`: how long such an engine may say nothing before it is given up. `zero_retention`: one elsewhere keeps
    nothing of what it is asked, so that accounts with the data retention mode `none` may use it too. `reproducible`: at
    temperature 0 a llama.cpp model answers the same whatever else it is asked meanwhile or was asked before, somewhat slower.
    """

    engine: Literal["llamacpp", "openai", "vllm", "bedrock", "anthropic", "scripted", "choice"] = "choice"
    path: str | None = None
    url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    region: str | None = None
    profile: str | None = None
    script: str | None = None
    context_tokens: int | None = None
    slots: int = 4
    concurrency: int | None = None
    queue: int | None = None
    threads: int | None = None
    prewarm: bool = False
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    accelerator: Literal["cpu", "cuda", "neuron", "inf2"] = "cpu"
    projector: str | None = None
    python: str | None = None
    images: bool = False
    tools: bool | None = None
    json_schema: bool = True
    reasoning: bool = True
    streaming: bool = True
    embeddings: bool = False
    rerank: bool = False
    cloud: bool | None = None
    silence_seconds: float = 900.0
    zero_retention: bool = False
    reproducible: bool = False


class ChoiceSpec(EngineSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several engines of a model. All keys of an entry's engine, and these.

    Requests go to the engines in proportion to their `weight`, and on to another where one fails before its answer
    begins. A `fallback` is tried only after all others, in the order of the file.
    """

    name: str | None = None
    weight: float = 1.0
    fallback: bool = False

    def __post_init__(self) -> None:
        if self.engine == "choice":
            raise ValueError("Object missing required field `engine`")
        if self.name is not None and _ENGINE_NAME.fullmatch(self.name) is None:
            raise ValueError("an engine's name has up to 64 letters, digits and ._-")
        if not 0 < self.weight < float("inf"):
            raise ValueError("a weight is a number above 0; make it a fallback to keep requests away from it")


class ModelSpec(EngineSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One catalogue entry: an id like Bedrock's and the engine that answers for it, or several in `engines`.

    Besides these keys it has those of its engine, below. `quality`, from 0 to 1, is the share of hard prompts that it
    answers well; prompt routers go by it. `family` is the form of the bodies that InvokeModel takes, where the id does not
    say it (`meta.llama...` does). Without `on_demand` it answers through inference profiles only, as many of Bedrock's
    newer models do. With `latency_optimized`, requests with `performanceConfig.latency` `optimized` are taken, and go first.
    """

    id: str
    name: str | None = None
    provider: str | None = None
    max_output_tokens: int | None = None
    quality: float | None = None
    on_demand: bool = True
    latency_optimized: bool = False
    family: FamilyName | None = None
    engines: tuple[ChoiceSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.engine == "choice" and not self.engines:
            raise ValueError("Object missing required field `engine` (or several in [[models.engines]])")
        if not self.engines:
            return
        said = [name for name in EngineSpec.__struct_fields__ if name != "prewarm" and not _is_default(self, name)]
        if said:
            raise ValueError(f"with [[models.engines]], `{said[0]}` is said for each engine and not for the model")
        if len(set(engine_names(self))) < len(self.engines):
            raise ValueError("two of [[models.engines]] have the same name")


def _is_default(spec: EngineSpec, name: str) -> bool:
    return bool(getattr(spec, name) == getattr(_UNSAID, name))


_UNSAID = EngineSpec()


def engine_names(spec: ModelSpec) -> list[str]:
    """The names of its several engines; one that has none is called by its kind and its place."""
    return [inner.name or f"{inner.engine}-{place}" for place, inner in enumerate(spec.engines, 1)]


def engines_of(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """Each of its several engines as an entry of its own, `ID/NAME`; none for a model with one engine."""
    return tuple(
        ModelSpec(
            id=f"{spec.id}/{name}",
            max_output_tokens=spec.max_output_tokens,
            **{field: getattr(inner, field) for field in EngineSpec.__struct_fields__} | _called(spec, inner),
        )
        for name, inner in zip(engine_names(spec), spec.engines, strict=True)
    )


def _called(spec: ModelSpec, inner: ChoiceSpec) -> dict[str, str]:
    """An engine elsewhere knows the model by its own id, where the settings do not say otherwise."""
    elsewhere = inner.engine in ("openai", "bedrock", "anthropic")
    return {"model": spec.id} if elsewhere and inner.model is None else {}


class ElsewhereSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another S3. `endpoint` is its address, such as `https://minio.example:9000`, or `aws` for Amazon's own.

    `access_key_env` and `secret_key_env` name the environment variables that hold its key; without them, and for
    `profile`, AWS's usual places are looked in. Its buckets are used for `account`; none: the first account.
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key_env: str | None = None
    secret_key_env: str | None = None
    account: str | None = None

    def __post_init__(self) -> None:
        if self.endpoint is not None and self.endpoint != "aws" and not _HTTP.match(self.endpoint):
            raise ValueError('an endpoint is a URL that begins with http:// or https://, or "aws"')
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise ValueError("access_key_env and secret_key_env go together")


class BucketSpec(ElsewhereSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where one bucket is. `folder`: its objects are the files of that folder, to be read only.

    Otherwise it is at an `endpoint`, with the keys of `[objects]`, where it is called `bucket` if not by the same name.
    """

    folder: str | None = None
    bucket: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.folder is None) == (self.endpoint is None):
            raise ValueError("a bucket has either a `folder` or an `endpoint`; one that has neither needs no settings")


class ObjectsSettings(ElsewhereSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where `s3://` is. Without an `endpoint`, in the data folder; with one, in that S3, but for the `buckets` named here.

    `hosts` are names of this server that clients put a bucket's name in front of (`photos.outcrop.example`).
    """

    hosts: tuple[str, ...] = ("localhost",)
    buckets: dict[str, BucketSpec] = {}


class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs that this server runs beside requests; several servers on one database share them.

    `at_once`: how many; none is one for each core, 0 leaves them to other servers. `limits`: how many of one kind, by its
    name, where not as many as the kind itself says.
    """

    at_once: int | None = None
    limits: dict[str, int] = {}

    def __post_init__(self) -> None:
        if any(number < 0 for number in (self.at_once or 0, *self.limits.values())):
            raise ValueError("a number of jobs is 0 or more")


class BatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Batch inference and asynchronous invocations, which run inside the server.

    `at_once`: how many such jobs run at a time on this server; 0 leaves them to other servers. `in_flight`: how many
    records of a job are asked at once where the engine does not say how many it works on. The rest are Bedrock's quotas:
    records of a job, megabytes of a file and of a job.
    """

    at_once: int = 4
    in_flight: int = 64
    least_records: int = 100
    most_records: int = 50_000
    file_mb: int = 1024
    job_mb: int = 5120

    def __post_init__(self) -> None:
        if self.at_once < 0 or self.in_flight < 1 or self.least_records < 0:
            raise ValueError("at_once and least_records are 0 or more, in_flight 1 or more")


class EvaluationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Evaluation jobs, which run inside the server.

    `at_once`: how many of them ask models at a time on this server; 0 leaves them to other servers. `datasets` is a folder
    with the operator's copies of Bedrock's built-in datasets (`BoolQ.jsonl`), `data` one with the benchmarks that
    `outcrop evaluate` knows. `embedding_model` is the id of a model of this server that matches sentences for
    Summarization; `toxicity_model` a Hugging Face text-classification folder, and `toxicity_python` an interpreter that has
    torch and transformers, if not Outcrop's own. `judged_twice`: for how many records of a dataset a judge is asked again
    with its scale turned round, to see how far it agrees with itself. `keep_hours`: how long answers are kept for jobs
    that ask the same again.
    """

    at_once: int = 2
    datasets: str | None = None
    data: str | None = None
    embedding_model: str | None = None
    toxicity_model: str | None = None
    toxicity_python: str | None = None
    judged_twice: int = 20
    keep_hours: float = 168.0

    def __post_init__(self) -> None:
        if self.at_once < 0 or self.judged_twice < 0 or self.keep_hours < 0:
            raise ValueError("at_once, judged_twice and keep_hours are 0 or more")


class CustomizationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Customization jobs, whose trainers this server starts.

    `at_once`: how many train at a time; 0 leaves them to other servers. `threads` of each trainer; 0 is all cores that are
    free. `checkpoint_seconds`: how much a killed server's training may lose. `graders`: name of a reward function → the
    address that its event is sent to; `judge`: the model behind the reward function `outcrop-judge`. Pretraining jobs, of
    which as many more train at a time, make no model with more than `largest_pretraining_parameters`, and fail after
    `longest_pretraining_hours`.
    """

    at_once: int = 1
    threads: int = 0
    checkpoint_seconds: float = 30.0
    graders: dict[str, str] = {}
    judge: str | None = None
    largest_pretraining_parameters: int = 50_000_000
    longest_pretraining_hours: float = 24.0

    def __post_init__(self) -> None:
        if self.largest_pretraining_parameters < 0 or not self.longest_pretraining_hours > 0:
            raise ValueError("largest_pretraining_parameters is 0 or more, longest_pretraining_hours more than 0")
        if self.at_once < 0 or self.threads < 0 or self.checkpoint_seconds <= 0:
            raise ValueError("at_once and threads are 0 or more, checkpoint_seconds more than 0")
        if any(not url.startswith(("http://", "https://")) for url in self.graders.values()):
            raise ValueError("graders are addresses that begin with http:// or https://")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`aliases` maps an id or a pattern with `*` (`anthropic.*`) to a catalogue id; the longest matching pattern wins.

    `network = "none"`: nothing leaves this machine; an engine or a database elsewhere is refused at start, and so is
    `outcrop pull`.
    """

    region: str = "us-east-1"
    network: Literal["any", "none"] = "any"
    server: Server = Server()
    identity: IdentitySettings = IdentitySettings()
    engines: EngineSettings = EngineSettings()
    store: StoreSettings = StoreSettings()
    objects: ObjectsSettings = ObjectsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    audit: AuditSettings = AuditSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    jobs: JobSettings = JobSettings()
    customization: CustomizationSettings = CustomizationSettings()
    batch: BatchSettings = BatchSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    house_model: bool = True
    models: tuple[ModelSpec, ...] = ()
    aliases: dict[str, str] = {}
    quotas: tuple[Quota, ...] = ()


def home() -> Path:
    """The data folder: `$OUTCROP_HOME`, else `~/.outcrop`."""
    return Path(os.environ.get("OUTCROP_HOME") or Path.home() / ".outcrop").expanduser()


def database_of(settings: Settings, folder: Path) -> Path | str:
    """The SQLite file in the data folder, or the URL of a PostgreSQL database; SettingsError if it may not be reached."""
    url = settings.store.url
    if url is not None and settings.network == "none" and not is_on_this_machine(url):
        raise SettingsError('network is "none", and the database of [store] url is not on this machine.')
    return url or folder / "outcrop.db"


def is_on_this_machine(url: str) -> bool:
    """Whether each host that a database's URL, or libpq's environment, names is a loopback address or a socket's folder."""
    parts = urlsplit(url)
    given = parse_qs(parts.query)
    authority = [re.sub(r":\d*$", "", host) for host in unquote(parts.netloc.rpartition("@")[2]).split(",")]
    named = [host for name in ("host", "hostaddr") for text in given.get(name, []) for host in text.split(",")]
    hosts = [host for host in (*authority, *named) if host] or [os.environ.get("PGHOST", "")]
    return all(not host or host.startswith("/") or host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
