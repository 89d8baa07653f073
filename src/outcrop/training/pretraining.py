"""A recipe's model, trained on generated data: from nothing, or grown from a smaller one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer

from outcrop.training import growing, loop, optimizers, parallel
from outcrop.training.customizing import base as bases
from outcrop.training.data import GeneratedSource
from outcrop.training.model import Decoder, ModelConfig, compile_layers, device
from outcrop.training.progress import Metrics, Progress
from outcrop.training.recipe import Recipe, TrainPart, model_file
from outcrop.training.tokenizer import Template

METRICS = "step_wise_training_metrics.csv"


def train(
    recipe: Recipe, tokenizer: Tokenizer, out: Path, report: Callable[[Progress], None]
) -> tuple[Decoder, Progress]:
    """Train to the recipe's tokens, from the newest checkpoint in `out` if there is one."""
    settings, where = recipe.train, device()
    torch.set_num_threads(settings.threads or loop.free_cores())
    torch.manual_seed(settings.seed)
    model = Decoder(config_of(recipe))
    if recipe.start is not None:
        model.load_state_dict(growing.grown(bases.load(model_file(recipe.start)), model.config))
    model.to(where)
    if settings.compile:
        compile_layers(model)
    parallel.shard(model)
    chosen = optimizers.muon_and_adamw(
        model, settings.muon_learning_rate, settings.learning_rate, settings.weight_decay
    )
    source = GeneratedSource(
        tokenizer, Template(), settings.seed, settings.tokens_per_step, settings.tokens_per_batch, recipe.model.context,
        None if where.type == "cpu" else min(recipe.model.context, settings.tokens_per_batch),
        recipe.shares,
    )  # fmt: skip
    job = loop.Job(
        model,
        chosen,
        source=source,
        schedule=lambda progress: rate(settings, progress.tokens),
        finished=lambda progress: progress.tokens >= settings.tokens,
        clip=settings.clip,
        bf16=optimizers.in_bfloat16(settings.precision, where),
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    return model, loop.run(job, out, [Metrics(out / METRICS, "training")], report)


def rate(train: TrainPart, tokens: int) -> float:
    """Share of the learning rate: warm-up, constant, linear decay to 2 % (WSD)."""
    done = tokens / train.tokens
    if done < train.warmup:
        return max(done, 0.1 * train.warmup) / train.warmup
    return max(0.02, min(1.0, (1 - done) / train.decay))


def config_of(recipe: Recipe) -> ModelConfig:
    m = recipe.model
    return ModelConfig(m.vocab_size, m.hidden_size, m.intermediate_size, m.layers, m.heads, m.kv_heads, m.context)
