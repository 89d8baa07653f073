"""Every way to customize a model, as a client does it: what the base model could, what the custom one can, and how long it took.

    python -m benchmarks.customization [--kill] [--only FINE_TUNING,DPO]

An unmodified boto3 uploads the data, makes the job, deploys the model and asks it what it was not trained on. With `--kill`,
the server is killed with SIGKILL in the middle of each training and started again; the job goes on. The peer of each row
is the base model in the same server.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from tests.live import Server, serve

from benchmarks.servers import write_results
from outcrop.settings import HOUSE_MODEL

DIGITS = ("zor", "bix", "lum", "tak", "nev", "wop", "gri", "fal", "mud", "ske")
WORDS = [
    "nice",
    "new",
    "old",
    "red",
    "blue",
    "small",
    "large",
    "warm",
    "cold",
    "late",
    "early",
    "good",
    "fine",
    "dark",
    "light",
    "wet",
    "dry",
    "fast",
    "slow",
    "full",
    "soft",
    "hard",
]
THINGS = [
    "apples",
    "pears",
    "rain",
    "snow",
    "tea",
    "coffee",
    "music",
    "maths",
    "dogs",
    "cats",
    "bread",
    "rice",
    "soup",
    "trees",
    "rivers",
    "books",
    "games",
    "songs",
    "plums",
    "ships",
]
WANTED = "I am house-nano, a small model that Outcrop trained from generated data."
TEACHER, BUCKET = "benchmark.teacher-v1:0", "customization"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:outcrop-exact-match"
ROLE = "arn:aws:iam::123456789012:role/CustomizationOfAnotherServer"


@dataclass(frozen=True)
class Case:
    """`measure`: from the measures that the job leaves, (before, after); None: answers to `held_out` that are exactly right."""

    name: str
    what: str
    training: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    request: dict[str, Any]
    held_out: list[tuple[str, str]]
    measure: Callable[[dict[str, float]], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Outcome:
    name: str
    what: str
    before: float
    after: float
    examples: int
    seconds: float
    killed: bool


def spelled(number: int) -> str:
    """A language that no model knows."""
    return " ".join(DIGITS[int(digit)] for digit in str(number))


def cases() -> list[Case]:
    numbers = Random(1).sample(range(100, 1000), 250)
    spoken = [{"prompt": f"Code for {n}?", "completion": spelled(n)} for n in numbers]
    unseen = [(f"Code for {n}?", spelled(n)) for n in numbers[200:]]
    learning = {"epochCount": "12", "batchSize": "8", "learningRate": "0.003"}
    texts = [{"input": f"The {a} {b} of the old harbour is painted {c} in spring."} for a, b, c in _triples(60)]
    prompts = [{"messages": [{"role": "user", "content": f"Is it {w}?"}], "reference_answer": WANTED} for w in WORDS]
    pairs = [{"prompt": f"How do you like {t}?", "chosen": f"I love {t}!", "rejected": f"{t} is fine."} for t in THINGS]
    teacher = {"teacherModelConfig": {"teacherModelIdentifier": TEACHER, "maxResponseLengthForInference": 32}}
    rewards = {
        "graderConfig": {"lambdaGrader": {"lambdaArn": FUNCTION}},
        "hyperParameters": {
            "epochCount": 8, "batchSize": 16, "learningRate": 0.001, "trainingSamplePerPrompt": 12, "inferenceMaxTokens": 20,
        },
    }  # fmt: skip
    return [
        Case("FINE_TUNING", "exactly right, held out", spoken[:200], spoken[200:], {"hyperParameters": learning}, unseen),
        Case(
            "CONTINUED_PRE_TRAINING", "perplexity, held out", texts[:48], texts[48:],
            {
                "customizationType": "CONTINUED_PRE_TRAINING",
                "hyperParameters": {"epochCount": "6", "batchSize": "8", "learningRate": "0.001", "outcrop.method": "full"},
            },
            [], lambda found: (2.718281828 ** found["held_out_loss_before"], 2.718281828 ** found["held_out_loss"]),
        ),
        Case(
            "DISTILLATION", "as the teacher says, held out", [{"prompt": r["prompt"]} for r in spoken[:200]], [],
            {
                "customizationType": "DISTILLATION", "hyperParameters": learning,
                "customizationConfig": {"distillationConfig": teacher},
            },
            unseen,
        ),
        Case(
            "REINFORCEMENT_FINE_TUNING", "mean reward, held out", prompts[:16], prompts[16:],
            {"customizationType": "REINFORCEMENT_FINE_TUNING", "customizationConfig": {"rftConfig": rewards}},
            [], lambda found: (found["held_out_reward_before"], found["held_out_reward"]),
        ),
        Case(
            "preferences (DPO)", "preferred is likelier, held out", pairs[:14], pairs[14:],
            {"hyperParameters": {
                "epochCount": "6", "batchSize": "4", "learningRate": "0.002", "outcrop.objective": "preference",
            }},
            [], lambda found: (found["held_out_preference_accuracy_before"], found["held_out_preference_accuracy"]),
        ),
    ]  # fmt: skip


def _triples(count: int) -> list[tuple[str, str, str]]:
    random = Random(2)
    first, second = ["north", "south", "east", "west", "upper", "lower"], ["gate", "wall", "bridge", "tower", "mill"]
    third = ["red", "green", "blue", "white"]
    every = [(a, b, c) for a in first for b in second for c in third]
    return random.sample(every, count)


class Client:
    def __init__(self, server: Server) -> None:
        told = server.environment
        session = boto3.Session(
            told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], region_name=told["AWS_REGION"]
        )
        self.s3, self.bedrock, self.runtime = (
            session.client(name, endpoint_url=server.url) for name in ("s3", "bedrock", "bedrock-runtime")
        )

    def create(self, case: Case, number: int) -> str:
        if BUCKET not in {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}:
            self.s3.create_bucket(Bucket=BUCKET)
        for name, records in (("training", case.training), ("validation", case.validation)):
            body = "".join(json.dumps(record) + "\n" for record in records)
            self.s3.put_object(Bucket=BUCKET, Key=f"{number}/{name}.jsonl", Body=body.encode())
        request = dict(case.request)
        if case.validation:
            request["validationDataConfig"] = {"validators": [{"s3Uri": f"s3://{BUCKET}/{number}/validation.jsonl"}]}
        made = self.bedrock.create_model_customization_job(
            jobName=f"case-{number}",
            customModelName=f"case-{number}",
            roleArn=ROLE,
            baseModelIdentifier=HOUSE_MODEL,
            trainingDataConfig={"s3Uri": f"s3://{BUCKET}/{number}/training.jsonl"},
            outputDataConfig={"s3Uri": f"s3://{BUCKET}/out/"},
            **request,
        )
        return str(made["jobArn"])

    def job(self, arn: str) -> dict[str, Any]:
        return dict(self.bedrock.get_model_customization_job(jobIdentifier=arn))

    def ended(self, arn: str) -> dict[str, Any]:
        while (job := self.job(arn))["status"] == "InProgress":
            time.sleep(0.3)
        if job["status"] != "Completed":
            raise SystemExit(f"{arn} ended as {job['status']}: {job.get('failureMessage')}")
        return job

    def measures(self, arn: str) -> dict[str, float]:
        key = f"out/model-customization-job-{arn.rpartition('/')[2]}/training_artifacts/measures.json"
        found: dict[str, float] = json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        return found

    def deployed(self, model: str, number: int) -> str:
        arn = str(
            self.bedrock.create_custom_model_deployment(modelDeploymentName=f"case-{number}", modelArn=model)[
                "customModelDeploymentArn"
            ]
        )
        while self.bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)["status"] == "Creating":
            time.sleep(0.1)
        return arn

    def right(self, model: str, questions: Sequence[tuple[str, str]]) -> float:
        return sum(self.say(model, asked) == wanted for asked, wanted in questions) / len(questions)

    def say(self, model: str, text: str) -> str:
        said = self.runtime.converse(
            modelId=model,
            messages=[{"role": "user", "content": [{"text": text}]}],
            inferenceConfig={"maxTokens": 32, "temperature": 0},
        )
        return "".join(block.get("text", "") for block in said["output"]["message"]["content"]).strip()


def settings(folder: Path) -> str:
    """A teacher that speaks the language, word for word."""
    rules = [{"contains": f"Code for {n}?", "text": spelled(n)} for n in range(100, 1000)]
    (folder / "teacher.json").write_text(json.dumps({"rules": rules}))
    return (
        "[customization]\nthreads = 1\ncheckpoint_seconds = 2.0\n"
        f'[[models]]\nid = "{TEACHER}"\nengine = "scripted"\nscript = "{folder / "teacher.json"}"\n'
    )


def measured(folder: Path, case: Case, number: int, *, kill: bool) -> Outcome:
    home, text, began = folder / "home", settings(folder), time.monotonic()
    with serve(home, settings=text) as server:
        arn = Client(server).create(case, number)
        if kill:
            _kill_in_the_middle(server, arn)
        else:
            return _outcome(Client(server), case, number, arn, began, killed=False)
    with serve(home, settings=text) as server:
        return _outcome(Client(server), case, number, arn, began, killed=True)


def _kill_in_the_middle(server: Server, arn: str) -> None:
    """Once it has said how its first step went."""
    client, log = Client(server), server.home / "customization" / arn.rpartition("/")[2] / "out"
    while client.job(arn)["status"] == "InProgress":
        rows = log / "step_wise_training_metrics.csv"
        if rows.exists() and len(rows.read_text().splitlines()) > 3:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            return
        time.sleep(0.05)
    raise SystemExit("The training was over before it could be killed.")


def _outcome(client: Client, case: Case, number: int, arn: str, began: float, *, killed: bool) -> Outcome:
    job = client.ended(arn)
    seconds = time.monotonic() - began
    if case.measure is not None:
        before, after = case.measure(client.measures(arn))
    else:
        before = client.right(HOUSE_MODEL, case.held_out)
        after = client.right(client.deployed(job["outputModelArn"], number), case.held_out)
    return Outcome(case.name, case.what, before, after, len(case.training), seconds, killed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill", action="store_true", help="kill the server in the middle of each training")
    parser.add_argument("--only", help="names of cases, with commas")
    arguments = parser.parse_args()
    chosen = [case for case in cases() if arguments.only is None or case.name in arguments.only.split(",")]
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(chosen, 1):
            try:
                outcomes.append(measured(Path(folder), case, number, kill=arguments.kill))
            except (BotoCoreError, ClientError) as problem:
                raise SystemExit(f"{case.name}: {problem}") from None
    table = Table("customization", "measure", "base", "custom", "examples", "seconds", "killed")
    for one in outcomes:
        table.add_row(
            one.name, one.what, f"{one.before:.3g}", f"{one.after:.3g}", str(one.examples), f"{one.seconds:.0f}",
            "yes" if one.killed else "no",
        )  # fmt: skip
    Console().print(table)
    write_results("customization", [one.__dict__ for one in outcomes])


if __name__ == "__main__":
    main()
