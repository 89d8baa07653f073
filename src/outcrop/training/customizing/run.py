"""A whole customization: data -> rows -> trained weights -> files that are served. Nothing done is done again after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from outcrop.engines.weights import convert
from outcrop.training import export, loop, lora, optimizers, parallel, plot
from outcrop.training.customizing import base as bases
from outcrop.training.customizing import plans
from outcrop.training.customizing.base import Base
from outcrop.training.customizing.messages import Replies, Tell, line, phase
from outcrop.training.customizing.prepared import prepare
from outcrop.training.customizing.spec import (
    LOSS_PLOT,
    MEASURES,
    RESULT,
    TRAINING_METRICS,
    VALIDATION_METRICS,
    Result,
    Spec,
    SpecError,
)
from outcrop.training.customizing.validation import Validation
from outcrop.training.model import Decoder, compile_layers, device
from outcrop.training.progress import Metrics, Progress
from outcrop.training.rows import Rows


def customize(spec: Spec, tell: Tell, replies: Replies | None = None) -> Result:
    """Train what the spec says, from the newest checkpoint in its folder. Its exceptions: see `__main__`."""
    out = Path(spec.out)
    _own(out, spec)
    torch.set_num_threads(spec.threads or loop.free_cores())
    tell(phase("data_processing"))
    base = bases.load(Path(spec.base))
    context = min(spec.context or base.config.context, base.config.context)
    files = {"training": spec.training, "validation": spec.validation}
    if spec.kind == "reinforcement":
        context -= spec.reinforcement.max_tokens
    rows = prepare(base, plans.parser(spec), files, out / "rows", context)
    training = rows["training"]
    assert training is not None, "a spec names training files"
    tell(
        line(
            f"{len(training)} rows, {training.tokens} tokens to train on in each of {spec.hyperparameters.epochs} epochs."
        )
    )
    tell(phase("training"))
    model, trained = _trained(spec, base, rows, context, tell, replies)
    tell(phase("exporting"))
    result = _export(spec, base, model, trained)
    if parallel.rank() == 0:
        (out / MEASURES).write_bytes(msgspec.json.format(msgspec.json.encode(result.measures)))
        (out / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    return result


def _own(out: Path, spec: Spec) -> None:
    """The folder belongs to one spec, so that a checkpoint never meets another one's model or data."""
    kept = out / "spec.json"
    if parallel.rank() == 0:
        out.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            kept.write_bytes(msgspec.json.encode(spec))
    parallel.wait()
    if msgspec.json.decode(kept.read_bytes(), type=Spec) != spec:
        raise SpecError(f"{out} holds a run of another spec (or of an older form of this one); give another folder.")


def _trained(
    spec: Spec, base: Base, rows: Mapping[str, Rows | None], context: int, tell: Tell, replies: Replies | None
) -> tuple[Decoder, Progress]:
    hyper, out, where = spec.hyperparameters, Path(spec.out), device()
    bf16 = optimizers.in_bfloat16(hyper.precision, where)
    model = model_of(spec, base, bf16=bf16)
    packed = where.type != "cpu" if spec.packed is None else spec.packed
    width = context if packed else None
    plan = plans.plan(spec, base, model, rows, width=width, bf16=bf16, tell=tell, replies=replies)
    # What was measured first left weights whole, which the optimizers would take for the model's.
    parallel.reshard(model)
    steps = plan.source.steps_in_epoch * hyper.epochs
    metrics, judged = Metrics(out / TRAINING_METRICS, "training"), Metrics(out / VALIDATION_METRICS, "validation")
    job = loop.Job(
        model,
        optimizers_of(spec, model),
        plan.source,
        schedule=lambda progress: optimizers.warmed_and_falling(progress.step, steps, hyper.warmup_steps),
        objective=plan.objective,
        clip=hyper.clip,
        bf16=bf16,
        checkpoint_seconds=spec.checkpoint_seconds,
    )
    validation = None
    if plan.held_out is not None:
        validation = Validation(
            model,
            plan.held_out,
            hyper,
            out,
            judged,
            lambda p, loss: _tell_validation(tell, p, loss),
            bf16,
            plan.objective,
        )
        job = replace(job, after_step=validation, finished=validation.finished)
    elif plan.after_step is not None:
        job = replace(job, after_step=plan.after_step)

    def report(progress: Progress) -> None:
        tell(
            {
                "type": "progress",
                "step": progress.step,
                "steps": steps,
                "epoch": progress.epoch,
                "loss": round(progress.loss, 6),
                "tokens": progress.tokens,
                "tokens_per_second": round(progress.speed, 1),
                "mfu": round(progress.mfu, 4),
            }
        )

    progress = loop.run(job, out, (metrics, judged), report)
    if parallel.rank() == 0:
        curves = {"training": metrics.points(), "validation": judged.points()}
        (out / LOSS_PLOT).write_text(plot.losses({name: c for name, c in curves.items() if c}), "utf-8")
    if validation is not None and hyper.early_stopping_patience is not None:
        best = validation.restore_best(progress)
        progress = replace(
            progress, notes={**progress.notes, "best_step": best, "stopped": validation.finished(progress)}
        )
    return model, replace(progress, notes={**progress.notes, "measures": plan.measures(progress)})


def model_of(spec: Spec, base: Base, *, bf16: bool) -> Decoder:
    """On the device, with adapters if the method is lora, sharded if there are several processes."""
    hyper = spec.hyperparameters
    torch.manual_seed(spec.seed)
    model = base.model()
    if spec.method == "lora":
        lora.add_adapters(model, hyper.lora_rank, hyper.lora_alpha, bf16=bf16)
        if spec.adapter is not None:
            lora.read_peft(Path(spec.adapter), model, hyper.lora_rank, hyper.lora_alpha)
    model.to(device())
    if hyper.compile:
        compile_layers(model)
    parallel.shard(model)
    return model


def optimizers_of(spec: Spec, model: Decoder) -> list[torch.optim.Optimizer]:
    hyper = spec.hyperparameters
    if hyper.optimizer == "muon":
        rate = hyper.learning_rate
        return optimizers.muon_and_adamw(model, rate, rate, hyper.weight_decay)
    return [optimizers.adamw(model, hyper.learning_rate, hyper.weight_decay)]


def _tell_validation(tell: Tell, progress: Progress, loss: float) -> None:
    tell({"type": "validation", "step": progress.step, "epoch": progress.epoch, "loss": round(loss, 6)})


def _export(spec: Spec, base: Base, model: Decoder, progress: Progress) -> Result:
    weights = parallel.whole(model, trained_only=spec.method == "lora")
    notes, out = progress.notes, Path(spec.out).resolve() / "model"
    result = Result(
        spec.method, spec.base, None, None, None, None,
        progress.loss, notes.get("validation_losses", []), progress.step, notes.get("best_step") or progress.step,
        progress.tokens, round(progress.seconds, 3), notes.get("stopped", False), notes.get("measures", {}),
    )  # fmt: skip
    if parallel.rank() != 0:
        return result
    out.mkdir(exist_ok=True)
    if spec.method == "full":
        return _written(spec, base, weights, out, result)
    hyper = spec.hyperparameters
    lora.write_peft(weights, out / "adapter", spec.base, hyper.lora_rank, hyper.lora_alpha)
    lora.write_gguf(weights, out / "adapter.gguf", base.architecture, base.config, hyper.lora_alpha)
    adapted = msgspec.structs.replace(result, adapter_gguf=str(out / "adapter.gguf"), adapter=str(out / "adapter"))
    if not spec.merge:
        return adapted
    whole = lora.merged(base.weights(), weights, hyper.lora_alpha / hyper.lora_rank)
    return _written(spec, base, whole, out, adapted)


def _written(spec: Spec, base: Base, weights: dict[str, Tensor], out: Path, result: Result) -> Result:
    folder, file = out / spec.name, out / "model.gguf"
    config = {**base.hf_config, "torch_dtype": "float16", "eos_token_id": base.ends[0]}
    config.pop("dtype", None)
    export.write_folder(folder, weights, config, base.tokenizer, base.words, base.chat_template)
    convert.to_gguf(folder, file, spec.quantization)
    return msgspec.structs.replace(result, model_gguf=str(file), folder=str(folder))
