"""Tokens/s and MFU of Outcrop's training loop against a plain loop around transformers' model, HF Trainer and TRL.

    python -m benchmarks.training [--sizes 3,10] [--rounds 5] [--steps 6] [--threads 1] [--compile] [--only outcrop,plain]

All train the same Llama shape on the same full rows of tokens with fused AdamW, in bfloat16 where the processor has it, on
one device in one process, turn by turn; what is told are medians over rounds, and of ratios within rounds, because a shared
machine is not equally fast all the time. On one thread of a CPU, time is the processor's, so that others' work counts as
little as can be. Peers that are not installed are left out. On a GPU the size is 124 by default; no numbers of one are known
yet. `--compile` adds our loop with torch.compile, whose first step takes a minute or more and is not counted.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.servers import write_results
from outcrop.training import loop, optimizers
from outcrop.training.batches import Batch, Position, Step
from outcrop.training.model import Decoder, ModelConfig, compile_layers, device
from outcrop.training.progress import Metrics

PLAIN = "plain loop"


@dataclass(frozen=True)
class Size:
    shape: ModelConfig
    rows: int
    width: int

    @property
    def tokens(self) -> int:
        return self.rows * self.width


# Millions of parameters, about.
SIZES = {
    3: Size(ModelConfig(2048, 192, 512, 6, 6, 6, 256), 16, 256),
    10: Size(ModelConfig(4096, 320, 864, 8, 5, 5, 256), 16, 256),
    30: Size(ModelConfig(8192, 512, 1376, 8, 8, 8, 256), 16, 256),
    124: Size(ModelConfig(50304, 768, 2048, 12, 12, 12, 1024), 16, 1024),
}
# Trains for some steps more; seconds of each.
Subject = Callable[[int], list[float]]


class Repeated:
    """A `Source` of the same full rows, as (inputs, targets) of a decoder."""

    def __init__(self, rows: torch.Tensor, steps: int) -> None:
        targets = torch.full_like(rows, -100)
        targets[:, :-1] = rows[:, 1:]
        self._batch = Batch(rows, targets, rows.numel())
        self._steps = steps

    def steps(self, start: Position) -> Iterator[Step]:
        for number in range(start[1], self._steps):
            yield Step([self._batch], (0, number + 1))


def of_outcrop(size: Size, rows: torch.Tensor, *, bf16: bool, compiled: bool) -> Subject:
    torch.manual_seed(1)
    model = Decoder(size.shape).to(device())
    if compiled:
        compile_layers(model)
    optimizer = optimizers.adamw(model, 1e-4, 0.0)

    def train(steps: int) -> list[float]:
        ends: list[float] = []
        job = loop.Job(
            model, [optimizer], Repeated(rows, steps + 1), lambda _: 1.0, bf16=bf16, checkpoint_seconds=float("inf")
        )
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            loop.run(job, out, [Metrics(out / "metrics.csv", "training")], lambda _: _stamp(ends))
        return _differences(ends)

    return train


def of_plain_loop(size: Size, rows: torch.Tensor, *, bf16: bool) -> Subject:
    model = _hf_model(size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    rows = rows.to(device())

    def train(steps: int) -> list[float]:
        ends: list[float] = []
        for _ in range(steps + 1):
            with torch.autocast(rows.device.type, torch.bfloat16, enabled=bf16):
                loss = model(input_ids=rows, labels=rows).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
            _stamp(ends)
        return _differences(ends)

    return train


def of_trainer(size: Size, rows: torch.Tensor, *, bf16: bool) -> Subject:
    from transformers import Trainer, TrainingArguments

    model, data = _hf_model(size), [{"input_ids": row, "labels": row} for row in rows]

    def train(steps: int) -> list[float]:
        ends: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(folder, **_arguments(size, steps, bf16))
            _quietly(Trainer(model, arguments, train_dataset=data * (steps + 1), callbacks=[_ends(ends)]))
        return _differences(ends)

    return train


def of_trl(size: Size, rows: torch.Tensor, *, bf16: bool) -> Subject:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    from outcrop.models.specs import house_path

    words = str(house_path().parent / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    model = _hf_model(size)

    def train(steps: int) -> list[float]:
        ends: list[float] = []
        data = Dataset.from_dict({"input_ids": rows.tolist() * (steps + 1)})
        with tempfile.TemporaryDirectory() as folder:
            arguments = SFTConfig(
                folder, max_length=size.width, gradient_checkpointing=False, **_arguments(size, steps, bf16)
            )
            _quietly(
                SFTTrainer(model, arguments, train_dataset=data, processing_class=tokenizer, callbacks=[_ends(ends)])
            )
        return _differences(ends)

    return train


def _hf_model(size: Size) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**{**size.shape.to_hf(), "torch_dtype": "float32"})).to(device())


def _arguments(size: Size, steps: int, bf16: bool) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": size.rows, "max_steps": steps + 1, "learning_rate": 1e-4, "bf16": bf16,
        "adam_beta2": 0.95, "lr_scheduler_type": "constant", "report_to": [], "save_strategy": "no", "disable_tqdm": True,
        "logging_strategy": "no", "use_cpu": device().type == "cpu",
    }  # fmt: skip


def _ends(ends: list[float]) -> Any:
    from transformers import TrainerCallback

    class Ends(TrainerCallback):  # type: ignore[misc]  # transformers is not there where types are checked
        def on_step_end(self, *_: Any, **__: Any) -> None:
            _stamp(ends)

    return Ends()


def _quietly(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _now() -> float:
    if device().type != "cpu":
        torch.accelerator.synchronize()
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def _stamp(ends: list[float]) -> None:
    ends.append(_now())


def peak_flops(*, bf16: bool) -> float:
    """As `optimizers.peak_flops`, by this clock, of matrices as large as the design's figures were measured with."""
    size = 2048 if device().type == "cpu" else 8192
    matrix = torch.ones(size, size, device=device(), dtype=torch.bfloat16 if bf16 else torch.float32)
    times = []
    for _ in range(3):
        began = _now()
        matrix @ matrix
        times.append(_now() - began)
    return 2.0 * size**3 / min(times)


def _differences(ends: Sequence[float]) -> list[float]:
    """The first step's end only starts the clock."""
    return [after - before for before, after in itertools.pairwise(ends)]


def subjects(size: Size, *, bf16: bool, compiled: bool, only: Sequence[str]) -> dict[str, Subject]:
    rows = torch.randint(3, size.shape.vocab_size, (size.rows, size.width), generator=torch.Generator().manual_seed(2))
    makers: dict[str, tuple[str, Callable[[], Subject]]] = {
        "Outcrop": ("torch", lambda: of_outcrop(size, rows, bf16=bf16, compiled=False)),
        PLAIN: ("transformers", lambda: of_plain_loop(size, rows, bf16=bf16)),
        "HF Trainer": ("accelerate", lambda: of_trainer(size, rows, bf16=bf16)),
        "TRL": ("trl", lambda: of_trl(size, rows, bf16=bf16)),
    }
    if compiled:
        makers["Outcrop compiled"] = ("torch", lambda: of_outcrop(size, rows, bf16=bf16, compiled=True))
    found = {}
    for name, (package, make) in makers.items():
        if only and not any(name.lower().startswith(part) for part in only):
            continue
        if importlib.util.find_spec(package) is None:
            print(f"{name} is left out: {package} is not installed here.")
        else:
            found[name] = make()
    return found


def measure(size: Size, chosen: Mapping[str, Subject], rounds: int, steps: int, *, bf16: bool) -> list[dict[str, Any]]:
    """A row for each subject. Within a round all have the same machine, more or less; so has the peak that MFU is a share of."""
    flops = optimizers.flops_per_token(
        Decoder(size.shape), size.shape.layers, size.shape.heads * size.shape.head_dim, size.width
    )
    speeds: dict[str, list[float]] = {name: [] for name in chosen}
    shares: dict[str, list[float]] = {name: [] for name in chosen}
    for number in range(rounds + 1):
        # Each goes first in some round.
        order = list(chosen)
        for name in order[number % len(order) :] + order[: number % len(order)]:
            peak = peak_flops(bf16=bf16)
            speed = size.tokens / statistics.median(chosen[name](steps if number else 1))
            peak = max(peak, peak_flops(bf16=bf16))
            gc.collect()
            if number:  # the first round warms up
                speeds[name].append(speed)
                shares[name].append(speed * flops / peak)
    rows = []
    for name in chosen:
        row = {
            "name": name,
            "tokens_per_second": round(statistics.median(speeds[name]), 1),
            "mfu": round(statistics.median(shares[name]), 3),
        }
        if PLAIN in chosen:
            ratios = [ours / plain for ours, plain in zip(speeds[name], speeds[PLAIN], strict=True)]
            row |= {
                "ratio_to_plain_loop": round(statistics.median(ratios), 3),
                "ratio_min": round(min(ratios), 3),
                "ratio_max": round(max(ratios), 3),
            }
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", help=f"Millions of parameters, of {', '.join(map(str, SIZES))}.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--only", default="", help="Beginnings of names, with commas.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    where = device()
    bf16 = not options.fp32 and optimizers.in_bfloat16("auto", where)
    sizes = options.sizes or ("3,10" if where.type == "cpu" else "124")
    if where.type == "cpu":
        print("There is no accelerator here, so this measures the CPU alone.")
    results: dict[str, Any] = {
        "device": where.type if where.type == "cpu" else torch.cuda.get_device_name(where) if where.type == "cuda" else "",
        "threads": options.threads, "bf16": bf16, "torch": torch.__version__, "sizes": {},
    }  # fmt: skip
    only = [part.strip().lower() for part in options.only.split(",") if part.strip()]
    for millions in map(int, sizes.split(",")):
        chosen = subjects(SIZES[millions], bf16=bf16, compiled=options.compile, only=only)
        rows = measure(SIZES[millions], chosen, options.rounds, options.steps, bf16=bf16)
        report(millions, rows, options.threads, bf16)
        results["sizes"][str(millions)] = rows
    print(f"Written to {write_results('training', results)}")


def report(millions: int, rows: Sequence[Mapping[str, Any]], threads: int, bf16: bool) -> None:
    kind = "bfloat16" if bf16 else "float32"
    table = Table(title=f"{millions}M parameters, {device().type}, {threads} thread(s), {kind}; medians of rounds")
    for column in ("", "tokens/s", "MFU", "of the plain loop", "min-max"):
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        ratio = row.get("ratio_to_plain_loop")
        told = ("", "") if ratio is None else (f"{ratio:.2f}", f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}")
        table.add_row(row["name"], f"{row['tokens_per_second']:.0f}", f"{row['mfu']:.0%}", *told)
    Console().print(table)


if __name__ == "__main__":
    main()
