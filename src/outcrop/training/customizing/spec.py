"""What a customization trains, on what, and how: the one argument of `python -m outcrop.training.customizing`.

No torch here: the server imports this module, writes a `Spec` as JSON and starts the process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Kind = Literal["fine-tuning", "continued-pre-training", "distillation", "reinforcement", "preference"]
Grader = Literal["exact-match", "json-schema", "unit-tests", "parent"]

# What the process leaves in `Spec.out`; the first two are named as Bedrock names them.
TRAINING_METRICS = "step_wise_training_metrics.csv"
VALIDATION_METRICS = "validation_metrics.csv"
REWARD_METRICS = "reward_metrics.csv"
MEASURES = "measures.json"
LOSS_PLOT = "loss.svg"
RESULT = "result.json"
# How the process ends: done, refused for its data (problems were told), failed (a reason was told).
DONE, INVALID, FAILED = 0, 2, 3
MOST_PROBLEMS = 100


class SpecError(Exception):
    """A sentence for whoever wrote the spec."""


class Hyperparameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`batch_size` is records a step; `batch_tokens` how many positions are computed at once, which bounds memory.

    `warmup_steps` are optimizer steps; afterwards the rate falls linearly to a tenth. Validation runs every
    `validate_every` steps and at each epoch's end (0: only then). Training stops when the validation loss has not fallen
    by more than `early_stopping_threshold` for `early_stopping_patience` validations; if patience is given, the weights
    of the lowest validation loss are kept. `precision` auto computes in bfloat16 where the processor has it.
    """

    epochs: int = 2
    batch_size: int = 8
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    early_stopping_threshold: float | None = None
    early_stopping_patience: int | None = None
    validate_every: int = 0
    lora_rank: int = 16
    lora_alpha: float = 32.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    weight_decay: float = 0.0
    clip: float = 1.0
    batch_tokens: int = 4096
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False


class Distillation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records have the teacher's answers. `teacher`: its weights, a base as `Spec.base`, for learning its odds of each token.

    `weight` is that of the odds, the rest is plain cross-entropy; `temperature` flattens both models' odds.
    """

    teacher: str | None = None
    weight: float = 0.5
    temperature: float = 1.0


class Reinforcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`samples` answers to each prompt, of at most `max_tokens`; `kl` is the price of leaving the model as it was (LoRA only).

    `grader` looks at a record's `reference_answer`; `parent` asks whoever started the process, in a line of JSON
    `{"type": "grade", "id", "samples": [{"record", "answer"}]}` that wants `{"id", "rewards": [number]}` on standard input.
    """

    grader: Grader = "exact-match"
    samples: int = 8
    max_tokens: int = 64
    temperature: float = 1.0
    kl: float = 0.0


class Preference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`beta`: how dear it is to leave the model as it was (Rafailov et al. 2023)."""

    beta: float = 0.1


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base`: a Hugging Face folder, or a GGUF file of the `llama` architecture. `training`, `validation`: JSONL files.

    `adapter`: the `adapter` folder of an earlier run, to go on from. `merge`: a LoRA run also writes the merged model.
    `context`: the longest record in tokens (default: the model's). `threads`: 0 means the free cores. `packed`: None
    means where there is an accelerator, which wants one fixed shape; CPUs do better with records of like length.
    """

    base: str
    training: list[str]
    out: str
    kind: Kind = "fine-tuning"
    method: Literal["lora", "full"] = "lora"
    validation: list[str] = []
    name: str = "custom"
    seed: int = 1
    context: int | None = None
    threads: int = 0
    adapter: str | None = None
    merge: bool = False
    quantization: Literal["q8_0", "f16"] = "q8_0"
    packed: bool | None = None
    checkpoint_seconds: float = 60.0
    hyperparameters: Hyperparameters = Hyperparameters()
    distillation: Distillation = Distillation()
    reinforcement: Reinforcement = Reinforcement()
    preference: Preference = Preference()


class Result(msgspec.Struct, frozen=True):
    """`result.json`. Paths are absolute; `best_step` is the step whose weights were kept; losses are per counted token.

    `measures`: what else a kind of training tells of its success, such as the share of preferred answers that are likelier.
    """

    method: str
    base: str
    model_gguf: str | None
    adapter_gguf: str | None
    adapter: str | None
    folder: str | None
    training_loss: float | None
    validation_losses: list[float]
    steps: int
    best_step: int
    tokens: int
    seconds: float
    stopped_early: bool
    measures: dict[str, float] = {}


def load(path: Path) -> Spec:
    """SpecError if the file is no sound spec."""
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=Spec)
    except OSError as problem:
        raise SpecError(f"The spec {path} cannot be read: {problem.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise SpecError(f"{path}: {problem}") from None
    if wrong := mistake(spec):
        raise SpecError(f"{path}: {wrong}")
    return spec


def mistake(spec: Spec) -> str | None:
    """What is out of range, as a sentence."""
    hyper = spec.hyperparameters
    rules = {
        "training must name at least one file": bool(spec.training),
        "name must be letters, digits, dots, hyphens or underscores": bool(spec.name)
        and not spec.name.startswith(".")
        and all(c.isalnum() or c in "-_." for c in spec.name),
        "context must be at least 8": spec.context is None or spec.context >= 8,
        "threads must not be negative": spec.threads >= 0,
        "epochs must be at least 1": hyper.epochs >= 1,
        "batch_size must be at least 1": hyper.batch_size >= 1,
        "batch_tokens must be at least 16": hyper.batch_tokens >= 16,
        "learning_rate must be more than 0 and at most 1": 0 < hyper.learning_rate <= 1,
        "warmup_steps must not be negative": hyper.warmup_steps >= 0,
        "validate_every must not be negative": hyper.validate_every >= 0,
        "early_stopping_threshold must not be negative": (hyper.early_stopping_threshold or 0) >= 0,
        "early_stopping_patience must be at least 1": hyper.early_stopping_patience is None
        or hyper.early_stopping_patience >= 1,
        "early stopping needs validation data": hyper.early_stopping_patience is None or bool(spec.validation),
        "lora_rank must be from 1 to 1024": 1 <= hyper.lora_rank <= 1024,
        "lora_alpha must be positive": hyper.lora_alpha > 0,
        "clip must be positive": hyper.clip > 0,
        "adapter goes with the method lora only": spec.adapter is None or spec.method == "lora",
        "distillation.weight must be from 0 to 1": 0 <= spec.distillation.weight <= 1,
        "distillation.temperature must be positive": spec.distillation.temperature > 0,
        "reinforcement.samples must be at least 2: an answer is graded against the others": spec.reinforcement.samples
        >= 2,
        "reinforcement.max_tokens must be at least 1": spec.reinforcement.max_tokens >= 1,
        "reinforcement.temperature must be positive": spec.reinforcement.temperature > 0,
        "reinforcement.kl must not be negative": spec.reinforcement.kl >= 0,
        "reinforcement.kl goes with the method lora only": not spec.reinforcement.kl or spec.method == "lora",
        "early stopping goes by a validation loss, which reinforcement does not have": spec.kind != "reinforcement"
        or hyper.early_stopping_patience is None,
        "preference.beta must be positive": spec.preference.beta > 0,
    }
    return next((f"{sentence}." for sentence, holds in rules.items() if not holds), None)
