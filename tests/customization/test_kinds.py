"""Preferences, rewards and teachers, by the real trainer: what is made of the house model says what it was taught."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from outcrop.settings import HOUSE_MODEL
from tests.customization.customizing import Customizing, connect
from tests.live import serve

pytest.importorskip("torch")
pytest.importorskip("gguf")

TEACHER = "test.teacher-v1:0"
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
WANTED = "I am house-nano, a small model that Outcrop trained from generated data."
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


class RewardFunction(BaseHTTPRequestHandler):
    """A reward function as its author would write it for Lambda, behind an address."""

    events: ClassVar[list[Any]] = []
    broken: ClassVar[bool] = False

    def do_POST(self) -> None:
        samples = json.loads(self.rfile.read(int(self.headers["content-length"])))
        RewardFunction.events.append(samples)
        scores = [
            {"id": one["id"], "aggregate_reward_score": float("house" in one["messages"][-1]["content"])}
            for one in reversed(samples)
        ]
        body = json.dumps([] if RewardFunction.broken else scores).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customizing]:
    """A live server with the house model, a teacher, a judge and a reward function."""
    functions = ThreadingHTTPServer(("127.0.0.1", 0), RewardFunction)
    threading.Thread(target=functions.serve_forever, daemon=True).start()
    home = tmp_path_factory.mktemp("kinds")
    script = home / "teacher.json"
    script.write_text(json.dumps({"rules": [{"matches": ".", "text": "The zebra says hello."}]}))
    judge = home / "judge.json"
    judge.write_text(
        json.dumps({"rules": [{"contains": "to be graded:\nI am house", "text": "10"}, {"matches": ".", "text": "0"}]})
    )
    settings = f"""
[customization]
threads = 1
checkpoint_seconds = 1.0
judge = "test.judge-v1:0"
graders = {{ mine = "http://127.0.0.1:{functions.server_port}/" }}
[[models]]
id = "{TEACHER}"
engine = "scripted"
script = "{script}"
[[models]]
id = "test.judge-v1:0"
engine = "scripted"
script = "{judge}"
"""
    with serve(home / "home", settings=settings) as running:
        yield connect(running)
    functions.shutdown()


def rewarded(function: str, **more: Any) -> dict[str, Any]:
    hyper = {
        "epochCount": 3,
        "batchSize": 16,
        "learningRate": 0.001,
        "trainingSamplePerPrompt": 8,
        "inferenceMaxTokens": 20,
    }
    return {
        "customizationType": "REINFORCEMENT_FINE_TUNING",
        "customizationConfig": {
            "rftConfig": {
                "graderConfig": {"lambdaGrader": {"lambdaArn": FUNCTION + function}},
                "hyperParameters": {**hyper, **more},
            }
        },
    }


def prompts(words: list[str], **more: Any) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": f"Is it {word}?"}], **more} for word in words]


def taught_by(teacher: str) -> dict[str, Any]:
    config = {"teacherModelConfig": {"teacherModelIdentifier": teacher, "maxResponseLengthForInference": 32}}
    return {"customizationType": "DISTILLATION", "customizationConfig": {"distillationConfig": config}}


def test_a_student_learns_what_its_teacher_says(trained: Customizing) -> None:
    records = [
        {
            "schemaVersion": "bedrock-conversation-2024",
            "messages": [{"role": "user", "content": [{"text": f"What does the {word} animal say?"}]}],
        }
        for word in WORDS[:12]
    ]
    job = trained.until(
        trained.create(
            trained.put("taught.jsonl", records),
            hyperParameters={"epochCount": "6", "batchSize": "4", "learningRate": "0.002"},
            **taught_by(TEACHER),
        ),
        seconds=180,
    )
    assert job["status"] == "Completed", job
    assert job["customizationConfig"]["distillationConfig"]["teacherModelConfig"]["teacherModelIdentifier"] == TEACHER
    assert job["hyperParameters"]["outcrop.teacherOdds"] == "false"
    deployed = trained.deploy(job["outputModelArn"])
    assert trained.say(deployed, f"What does the {WORDS[15]} animal say?") == "The zebra says hello."
    assert trained.say(HOUSE_MODEL, f"What does the {WORDS[15]} animal say?") != "The zebra says hello."


def test_answers_that_are_rewarded_are_given(trained: Customizing) -> None:
    job = trained.until(
        trained.create(
            trained.put("rewarded.jsonl", prompts(WORDS[:16], reference_answer=WANTED)),
            **rewarded("outcrop-exact-match"),
        ),
        seconds=240,
    )
    assert job["status"] == "Completed", job
    folder = f"out/model-customization-job-{job['jobArn'].rpartition('/')[2]}/"
    rows = trained.read(f"{folder}training_artifacts/reward_metrics.csv").splitlines()
    rewards = [float(row.split(",")[2]) for row in rows[1:]]
    assert len(rewards) == 3
    assert rewards[-1] > rewards[0]


@pytest.mark.parametrize("function", ["mine", "outcrop-judge"])
def test_rewards_from_elsewhere(trained: Customizing, function: str) -> None:
    RewardFunction.events.clear()
    job = trained.until(
        trained.create(
            trained.put("graded.jsonl", prompts(WORDS[:16], reference_answer=WANTED, topic="names")),
            **rewarded(function, epochCount=1, trainingSamplePerPrompt=2),
        ),
        seconds=240,
    )
    assert job["status"] == "Completed", job
    if function == "mine":
        (samples,) = RewardFunction.events
        assert len(samples) == 32
        assert samples[0]["reference_answer"] == WANTED
        assert samples[0]["metadata"] == {"topic": "names"}
        assert [message["role"] for message in samples[0]["messages"]] == ["user", "assistant"]


def test_a_reward_function_that_fails_fails_the_job(trained: Customizing) -> None:
    RewardFunction.broken = True
    try:
        job = trained.until(
            trained.create(
                trained.put("broken.jsonl", prompts(WORDS[:16])),
                **rewarded("mine", epochCount=1, trainingSamplePerPrompt=2),
            ),
            seconds=240,
        )
    finally:
        RewardFunction.broken = False
    assert job["status"] == "Failed"
    assert "reward function mine" in job["failureMessage"]


def test_the_preferred_answer_is_given(trained: Customizing) -> None:
    pairs = [
        {
            "prompt": f"How do you like {word} things?",
            "chosen": f"I love {word} things!",
            "rejected": f"{word} is fine.",
        }
        for word in WORDS[:12]
    ]
    job = trained.until(
        trained.create(
            trained.put("pairs.jsonl", pairs),
            hyperParameters={
                "epochCount": "4", "batchSize": "4", "learningRate": "0.002",
                "outcrop.objective": "preference", "outcrop.beta": "0.1",
            },
        ),
        seconds=180,
    )  # fmt: skip
    assert job["status"] == "Completed", job
    assert job["hyperParameters"]["outcrop.objective"] == "preference"
    assert job["trainingMetrics"]["trainingLoss"] < 0.3


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a reward function that is not known": (rewarded("another"), "another is not known"),
    "no reward function": (
        {"customizationType": "REINFORCEMENT_FINE_TUNING", "customizationConfig": {"rftConfig": {}}},
        "lambdaArn",
    ),
    "reasoning": (rewarded("mine", reasoningEffort="low"), "reasoningEffort"),
    "no configuration": ({"customizationType": "DISTILLATION"}, "distillationConfig"),
    "a teacher that is not there": (taught_by("nobody.no-model-v1:0"), "model identifier is invalid"),
    "odds of a teacher without weights": (
        {**taught_by(TEACHER), "hyperParameters": {"outcrop.teacherOdds": "true"}},
        "its weights are not here",
    ),
    "a configuration of another type": ({**taught_by(TEACHER), "customizationType": "FINE_TUNING"}, "does not belong"),
    "beta without preferences": ({"hyperParameters": {"outcrop.beta": "0.1"}}, "not known"),
    "another objective": ({"hyperParameters": {"outcrop.objective": "fun"}}, "must be one of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_at_once(trained: Customizing, case: str) -> None:
    more, sentence = REFUSED[case]
    with pytest.raises(ClientError) as refused:
        trained.create(f"s3://{trained.bucket}/nothing.jsonl", **more)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert sentence in refused.value.response["Error"]["Message"]
