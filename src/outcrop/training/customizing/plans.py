"""What each kind of training makes of its data: where its steps come from, what is made small, what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from outcrop.training.batches import Batch, Source, Step
from outcrop.training.customizing import distillation, grading, preference, records, reinforcement
from outcrop.training.customizing.base import Base
from outcrop.training.customizing.messages import Replies, Tell
from outcrop.training.customizing.prepared import PARSERS, Parse, parsed
from outcrop.training.customizing.records import Prompt
from outcrop.training.customizing.spec import Spec
from outcrop.training.customizing.validation import mean_loss
from outcrop.training.lora import LoraLinear
from outcrop.training.model import Decoder
from outcrop.training.objectives import Objective, next_token
from outcrop.training.progress import Progress
from outcrop.training.rows import Rows, RowSource

# A step of a validation is not an optimizer's, and may be larger.
VALIDATED_AT_ONCE = 64


class Counted(Source, Protocol):
    @property
    def steps_in_epoch(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """`held_out`: batches of a validation, None where there is none. `measures` is asked when all is trained."""

    source: Counted
    objective: Objective = next_token
    held_out: Callable[[], list[Batch]] | None = None
    after_step: Callable[[Progress, Step], Progress] | None = None
    measures: Callable[[Progress], dict[str, float]] = field(default=lambda _: {})


def parser(spec: Spec) -> Parse:
    """Records as this kind of training has them."""
    if spec.kind != "reinforcement":
        return PARSERS[spec.kind]

    def prompt(record: Mapping[str, Any]) -> Prompt:
        grading.check(spec.reinforcement.grader, record)
        return records.reinforcement(record)

    return prompt


def plan(
    spec: Spec,
    base: Base,
    model: Decoder,
    rows: Mapping[str, Rows | None],
    *,
    width: int | None,
    bf16: bool,
    tell: Tell,
    replies: Replies | None,
) -> Plan:
    """Before the checkpoint is restored: `model` is what training begins with."""
    training, held_out = rows["training"], rows["validation"]
    assert training is not None, "a spec names training files"
    if spec.kind == "preference":
        return _preference(spec, model, training, held_out, bf16=bf16)
    if spec.kind == "reinforcement":
        return _reinforcement(spec, base, model, training, held_out, bf16=bf16, tell=tell, replies=replies)
    objective: Objective = next_token
    if spec.kind == "distillation" and spec.distillation.teacher is not None:
        teacher = distillation.teacher_of(Path(spec.distillation.teacher), base)
        objective = distillation.odds(teacher, spec.distillation.weight, spec.distillation.temperature)
    hyper = spec.hyperparameters
    source = RowSource(training, spec.seed, hyper.epochs, hyper.batch_size, hyper.batch_tokens, width)
    if held_out is None:
        return Plan(source, objective)
    again = RowSource(held_out, spec.seed, 1, max(VALIDATED_AT_ONCE, hyper.batch_size), hyper.batch_tokens, width)

    def batches() -> list[Batch]:
        return [piece for step in again.steps((0, 0)) for piece in step.pieces]

    before = mean_loss(model, batches(), bf16=bf16, objective=objective)
    tell({"type": "line", "text": f"Step 0: validation loss {before:.4f}"})

    def measures(progress: Progress) -> dict[str, float]:
        return {"held_out_loss_before": before, "held_out_loss": progress.notes["validation_losses"][-1]}

    return Plan(source, objective, batches, None, measures)


def _preference(spec: Spec, model: Decoder, training: Rows, held_out: Rows | None, *, bf16: bool) -> Plan:
    hyper, folder = spec.hyperparameters, Path(spec.out) / "rows"

    def pairs(rows: Rows, name: str) -> preference.Pairs:
        plain = preference.Pairs(rows, spec.seed, hyper.epochs, hyper.batch_size, hyper.batch_tokens)
        reference = preference.reference_of(model, plain, folder / f"{name}.reference.npy", bf16=bf16)
        return preference.Pairs(rows, spec.seed, hyper.epochs, hyper.batch_size, hyper.batch_tokens, reference)

    source = pairs(training, "training")
    judged = source if held_out is None else pairs(held_out, "validation")
    name = "training" if held_out is None else "held_out"

    def measures(progress: Progress) -> dict[str, float]:
        assert judged.reference is not None
        return {
            f"{name}_preference_accuracy_before": preference.accuracy(judged.reference),
            f"{name}_preference_accuracy": preference.accuracy(preference.likelihoods(model, judged, bf16=bf16)),
        }

    held = None if held_out is None else judged.everything
    return Plan(source, preference.dpo(spec.preference.beta), held, None, measures)


def _reinforcement(
    spec: Spec,
    base: Base,
    model: Decoder,
    training: Rows,
    held_out: Rows | None,
    *,
    bf16: bool,
    tell: Tell,
    replies: Replies | None,
) -> Plan:
    hyper, parse = spec.hyperparameters, parser(spec)
    ask = None
    if replies is not None and replies.there:
        there = replies

        def ask(samples: Any) -> list[float]:
            told = [{"record": sample.record, "answer": sample.answer} for sample in samples]
            return there.rewards(tell, told)

    grade = grading.grader(spec.reinforcement.grader, ask)

    def sampled(rows: Rows, paths: list[str]) -> reinforcement.Sampled:
        return reinforcement.Sampled(
            model,
            base,
            reinforcement.Prompts(rows, cast("list[Prompt]", parsed(paths, parse))),
            grade,
            spec.reinforcement,
            spec.seed,
            hyper.epochs,
            hyper.batch_size,
            hyper.batch_tokens,
            bf16,
            lambda: without_adapters(model),
        )

    judged = None if held_out is None else sampled(held_out, spec.validation)
    rewards = reinforcement.Rewards(Path(spec.out), judged, hyper.validate_every, tell)
    before = None if judged is None else rewards.measured(0)

    def measures(progress: Progress) -> dict[str, float]:
        steps = progress.notes.get("rewards", [])
        tenth = max(1, len(steps) // 10)
        found = {
            "reward_of_the_first_steps": sum(steps[:tenth]) / tenth,
            "reward_of_the_last_steps": sum(steps[-tenth:]) / tenth,
        }
        if before is not None:
            found |= {"held_out_reward_before": before, "held_out_reward": progress.notes["held_out_rewards"][-1]}
        return found

    return Plan(sampled(training, spec.training), reinforcement.grpo(spec.reinforcement.kl), None, rewards, measures)


@contextmanager
def without_adapters(model: Decoder) -> Iterator[None]:
    """The model as it was before training, while this lasts."""
    adapters = [module for module in model.modules() if isinstance(module, LoraLinear)]
    scales = [adapter.scale for adapter in adapters]
    for adapter in adapters:
        adapter.scale = 0.0
    try:
        yield
    finally:
        for adapter, scale in zip(adapters, scales, strict=True):
            adapter.scale = scale
