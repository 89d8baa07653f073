"""Results as a run would leave them, made up under a seed."""

from __future__ import annotations

import random

from outcrop.evaluation.results import Record, Results, Run

MODELS = {"house (local, llama.cpp)": 0.45, "anthropic.claude (Bedrock upstream)": 0.8, "gpt (OpenAI upstream)": 0.74}
SUITES = {
    "mmlu": (
        "MMLU",
        "accuracy",
        ["abstract_algebra", "anatomy", "astronomy", "college_physics", "world_religions"],
        0.25,
    ),
    "mgsm": ("MGSM", "accuracy", ["bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"], None),
    "humaneval": ("HumanEval", "pass", ["all"], None),
}
TEXTS = ["The answer is 42, because six times seven is forty-two.", "Réponse : l’addition donne 12.", "答案是 18。"]


def made(items: int = 60, models: dict[str, float] | None = None, answer: str | None = None) -> Results:
    """So many items of each suite, each asked of each model. `answer`: what every model says."""
    chance = random.Random(7)
    skills = MODELS if models is None else models
    runs = [run(model, suite, items) for suite in SUITES for model in skills]
    records = [
        record(model, suite, number, chance.random() < skill, answer or chance.choice(TEXTS) * chance.randint(1, 6))
        for suite in SUITES
        for model, skill in skills.items()
        for number in range(items)
    ]
    return Results(runs, records)


def run(model: str, suite: str, items: int, temperature: float = 0.0) -> Run:
    title, metric, _, guess = SUITES[suite]
    return Run(
        model=model,
        suite=suite,
        title=title,
        field="knowledge",
        protocol="5-shot, no chain of thought",
        published="Somebody et al., 2021",
        metrics=(metric,),
        items=items,
        samples=1,
        temperature=temperature,
        top_p=None,
        seed=0,
        max_tokens=None,
        shots=5,
        limit=items,
        at="2026-11-25T12:00:00+00:00",
        version="0.1.0",
        seconds=12.5,
        chance=guess,
        engine=f"llamacpp {model}.gguf" if model.startswith("house") else "",
        sandbox={"network": "namespace"} if suite == "humaneval" else {},
    )


def record(model: str, suite: str, number: int, right: bool, answer: str) -> Record:
    _, metric, groups, _ = SUITES[suite]
    failed = model.startswith("gpt") and number % 29 == 7
    return Record(
        model=model,
        suite=suite,
        item=f"{suite}/{number}",
        group=groups[number % len(groups)],
        cluster=f"{suite}/{number}",
        sample=0,
        prompt=f"Question {number} of {suite}.\n\nWhich of these is the answer?\nA. one\nB. two\nC. three\nD. four",
        answer="" if failed else answer,
        extracted=None if failed or number % 13 == 5 else "ABCD"[number % 4],
        reference="ABCD"[(number + (0 if right else 1)) % 4],
        scores={metric: float(right and not failed)},
        failure="The server answered 503." if failed else None,
        finish="end_turn",
        input_tokens=120,
        output_tokens=40 + number % 20,
        seconds={"h": 0.4, "a": 1.9, "g": 1.2}[model[0]] if model[0] in "hag" else 0.8,
    )
