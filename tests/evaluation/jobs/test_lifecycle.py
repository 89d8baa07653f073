"""Jobs listed, stopped, deleted and tagged; the same job twice; a server that is killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outcrop.jobs import queue
from outcrop.store.database import Database
from tests.evaluation.jobs.evaluations import (
    JUDGE,
    MODEL,
    OTHER,
    Evaluations,
    automated,
    connect,
    dataset,
    model,
    settings,
)
from tests.live import serve
from tests.stores import store_at

COUNTED = "test.counted-v1:0"
ACCURACY, CORRECTNESS = "Builtin.Accuracy", "Builtin.Correctness"
PLANET = {"prompt": "Which is the largest planet?", "referenceResponse": "Jupiter"}
ENDLESS = {"prompt": "Answer me for ever", "referenceResponse": "never"}


def code(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**request)
    return str(refused.value.response["Error"]["Code"])


def test_what_get_and_list_show(evaluations: Evaluations) -> None:
    config = automated(dataset("General", evaluations.put([PLANET]), CORRECTNESS), judge=JUDGE)
    arn = evaluations.create(config, jobDescription="A first look.", jobTags=[{"key": "team", "value": "a"}])
    job = evaluations.done(arn)
    assert job["evaluationConfig"] == config
    assert (job["jobDescription"], job["jobType"], job["applicationType"]) == (
        "A first look.",
        "Automated",
        "ModelEvaluation",
    )
    assert "failureMessages" not in job
    assert job["creationTime"] <= job["lastModifiedTime"]
    (listed,) = evaluations.bedrock.list_evaluation_jobs(nameContains=job["jobName"])["jobSummaries"]
    assert {name: listed[name] for name in listed if name != "creationTime"} == {
        "jobArn": arn, "jobName": job["jobName"], "status": "Completed", "jobType": "Automated",
        "evaluationTaskTypes": ["General"], "modelIdentifiers": [MODEL], "evaluatorModelIdentifiers": [JUDGE],
        "applicationType": "ModelEvaluation",
        "inferenceConfigSummary": {
            "modelConfigSummary": {"bedrockModelIdentifiers": [MODEL], "precomputedInferenceSourceIdentifiers": []}
        },
    }  # fmt: skip
    assert evaluations.bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "a"}]


def test_lists_have_pages_and_filters(evaluations: Evaluations) -> None:
    made = [evaluations.automated([PLANET], "QuestionAndAnswer", ACCURACY) for _ in range(5)]
    for arn in made:
        evaluations.done(arn)
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = evaluations.bedrock.list_evaluation_jobs(maxResults=2, sortOrder="Ascending", **token)
        found += [one["jobArn"] for one in page["jobSummaries"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert [arn for arn in found if arn in made] == made
    newest = evaluations.bedrock.list_evaluation_jobs(maxResults=5, statusEquals="Completed")["jobSummaries"]
    assert [one["jobArn"] for one in newest] == made[::-1]
    assert evaluations.bedrock.list_evaluation_jobs(statusEquals="Deleting")["jobSummaries"] == []
    assert evaluations.bedrock.list_evaluation_jobs(creationTimeAfter=time.time() + 60)["jobSummaries"] == []
    assert code(evaluations.bedrock.list_evaluation_jobs, maxResults=2, nextToken="nonsense") == "ValidationException"


def test_a_job_stops_at_once_and_is_deleted_once_it_has(evaluations: Evaluations) -> None:
    arn = evaluations.automated([PLANET, ENDLESS], "QuestionAndAnswer", ACCURACY)
    delete = evaluations.bedrock.batch_delete_evaluation_job
    evaluations.until(arn, "InProgress")
    answer = delete(jobIdentifiers=[arn])
    (error,) = answer["errors"]
    assert (error["jobIdentifier"], error["code"]) == (arn, "ConflictException")
    assert answer["evaluationJobs"] == []
    began = time.monotonic()
    evaluations.bedrock.stop_evaluation_job(jobIdentifier=arn)
    assert evaluations.until(arn, "Stopped", seconds=10)["status"] == "Stopped"
    assert time.monotonic() - began < 10
    assert code(evaluations.bedrock.stop_evaluation_job, jobIdentifier=arn) == "ConflictException"
    nobody = arn[:-12] + "aaaaaaaaaaaa"
    answer = delete(jobIdentifiers=[arn, nobody])
    assert answer["evaluationJobs"] == [{"jobIdentifier": arn, "jobStatus": "Deleting"}]
    assert [(one["jobIdentifier"], one["code"]) for one in answer["errors"]] == [(nobody, "ResourceNotFoundException")]
    assert code(evaluations.bedrock.get_evaluation_job, jobIdentifier=arn) == "ResourceNotFoundException"
    assert code(delete, jobIdentifiers=[arn] * 26) == "ValidationException"


def test_equal_questions_are_asked_once_and_counted(evaluations: Evaluations) -> None:
    prompt = {"prompt": "Twice the same, please", "referenceResponse": "please"}
    arn = evaluations.automated([prompt, prompt, {"prompt": "Do refuse me"}], "QuestionAndAnswer", ACCURACY)
    evaluations.done(arn)
    (asked,) = evaluations.summary(arn)["asked"]
    assert {name: asked[name] for name in ("model", "answered", "knownBefore", "failed")} == {
        "model": MODEL, "answered": 1, "knownBefore": 1, "failed": 1,
    }  # fmt: skip
    # Words are the scripted engine's tokens; those of the one answer count.
    assert asked["outputTokens"] == 4


def test_a_prompt_router_answers(evaluations: Evaluations) -> None:
    arns = [f"arn:aws:bedrock:us-east-1::foundation-model/{name}" for name in (MODEL, OTHER)]
    router = evaluations.bedrock.create_prompt_router(
        promptRouterName="evaluated", models=[{"modelArn": one} for one in arns], fallbackModel={"modelArn": arns[0]},
        routingCriteria={"responseQualityDifference": 0.0},
    )["promptRouterArn"]  # fmt: skip
    arn = evaluations.automated([PLANET], "QuestionAndAnswer", ACCURACY, inferenceConfig={"models": [model(router)]})
    evaluations.done(arn)
    (line,) = evaluations.lines(arn)
    assert line["modelResponses"][0]["modelIdentifier"] == router
    assert line["modelResponses"][0]["response"] in ("Jupiter", "Something else.")


def test_a_stopped_job_that_is_made_again_asks_nothing_twice(tmp_path: Path) -> None:
    with serve(tmp_path / "home", settings=settings(tmp_path)) as server:
        evaluations = connect(server)
        lines = [{"prompt": f"slowly {n}", "referenceResponse": "it took a while"} for n in range(40)]
        uri = evaluations.put(lines)
        config = automated(dataset("QuestionAndAnswer", uri, ACCURACY))
        arn = evaluations.create(config)
        _until_kept(evaluations, 8)
        evaluations.bedrock.stop_evaluation_job(jobIdentifier=arn)
        evaluations.until(arn, "Stopped")
        before = _kept(evaluations)
        assert 8 <= len(before) < 40
        again = evaluations.create(config)
        evaluations.done(again)
        after = _kept(evaluations)
        # What was kept of the first job is what the second one used: its rows are the first job's still.
        assert {key: job for key, job in after.items() if key in before} == before
        assert len(after) == 40
        assert [line["modelResponses"][0]["response"] for line in evaluations.lines(again)] == ["It took a while."] * 40
        # Deleting a job forgets what it asked.
        evaluations.bedrock.batch_delete_evaluation_job(jobIdentifiers=[arn])
        assert set(_kept(evaluations).values()) == {again.rpartition("/")[2]}


def test_killed_in_the_middle_it_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    """The model is a server of this test, which remembers what it was asked. What it was asked just when Outcrop was killed
    may be asked again: the answers of those four questions never arrived.
    """
    home = tmp_path / "home"
    with counting(seconds=0.15) as (url, asked):
        model_too = f'[[models]]\nid = "{COUNTED}"\nengine = "openai"\nurl = "{url}"\nmodel = "m"\nconcurrency = 2\n'
        text = settings(tmp_path) + model_too
        lines = [{"prompt": f"Question {n}", "referenceResponse": "it took a while"} for n in range(60)]
        with serve(home, settings=text) as server:
            evaluations = connect(server)
            config = automated(dataset("QuestionAndAnswer", evaluations.put(lines), ACCURACY))
            arn = evaluations.create(config, inferenceConfig={"models": [model(COUNTED)]})
            _until_kept(evaluations, 10)
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            before = set(_kept(evaluations))
            assert 10 <= len(before) < 60
            assert evaluations_status(home, arn) == "running"
        with serve(home, settings=text) as server:
            evaluations = connect(server)
            # The lease of the server that was killed has to run out.
            job = evaluations.until(arn, seconds=60)
            assert job["status"] == "Completed", job
            assert before <= set(_kept(evaluations))
            assert evaluations.figures(arn)[ACCURACY]["n"] == 60
    assert set(asked) == {line["prompt"] for line in lines}
    assert len(asked) <= 60 + 4


def test_the_same_job_twice_gives_the_same_files(tmp_path: Path) -> None:
    """On two servers, so that no kept answer helps: all but ids and times is the same, byte for byte."""
    lines = [PLANET, {"prompt": "Tell me 3 things about Bears", "referenceResponse": "bears"}]
    written = []
    for at in range(2):
        with serve(tmp_path / str(at), settings=settings(tmp_path)) as server:
            evaluations = connect(server)
            uri = evaluations.put(lines)
            arn = evaluations.create(
                automated(dataset("QuestionAndAnswer", uri, ACCURACY, "Builtin.Robustness")), jobName="the-same"
            )
            evaluations.done(arn)
            files = evaluations.files(arn)
            (path,) = [path for path in files if path.endswith("_output.jsonl")]
            written.append((files[path], files["outcrop/records.jsonl"]))
    assert written[0] == written[1]


def test_with_retention_none_nothing_is_kept(tmp_path: Path) -> None:
    with serve(tmp_path / "home", settings=settings(tmp_path)) as server:
        evaluations = connect(server)
        evaluations.done(evaluations.automated([PLANET], "QuestionAndAnswer", ACCURACY))
        assert len(_kept(evaluations)) == 1
        evaluations.bedrock.put_account_data_retention(mode="none")
        assert _kept(evaluations) == {}
        evaluations.done(evaluations.automated([PLANET], "QuestionAndAnswer", ACCURACY))
        assert _kept(evaluations) == {}


def test_a_key_of_ones_own_encrypts_what_is_written(tmp_path: Path) -> None:
    with serve(tmp_path / "home", settings=settings(tmp_path)) as server:
        evaluations = connect(server)
        made = subprocess.run(
            [sys.executable, "-m", "outcrop", "encryption", "create", "--alias", "mine", "--json"],
            env={**os.environ, **server.environment}, check=True, capture_output=True, text=True,
        )  # fmt: skip
        key = json.loads(made.stdout)["Arn"]
        arn = evaluations.automated([PLANET], "QuestionAndAnswer", ACCURACY, customerEncryptionKeyId=key)
        evaluations.done(arn)
        assert evaluations.get(arn)["customerEncryptionKeyId"] == key
        folder = evaluations.folder(arn)
        found = evaluations.s3.list_objects_v2(Bucket=evaluations.bucket, Prefix=folder)["Contents"]
        heads = [evaluations.s3.head_object(Bucket=evaluations.bucket, Key=one["Key"]) for one in found]
        assert {head["SSEKMSKeyId"] for head in heads} == {key}
        assert len(heads) == 5
        # What is kept in the database cannot be read there.
        with contextlib.closing(Database.open(store_at(server.home))) as database:
            (row,) = database.query("SELECT answer FROM evaluation_answers")
        assert "Jupiter" not in row["answer"]


def evaluations_status(home: Path, arn: str) -> str:
    """Of the row, while no server runs."""
    with contextlib.closing(Database.open(store_at(home))) as database:
        return queue.called(database, arn.rpartition("/")[2])[0].status


@contextlib.contextmanager
def counting(seconds: float) -> Iterator[tuple[str, list[str]]]:
    """A chat model behind OpenAI's interface that takes so long: its URL, and all that it was asked."""
    asked: list[str] = []

    class Model(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say("application/json", json.dumps({"data": [{"id": "m", "max_model_len": 4096}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body["messages"][-1]["content"])
            time.sleep(seconds)
            pieces: list[dict[str, Any]] = [
                {"choices": [{"index": 0, "delta": {"content": "It took a while."}, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            ]
            lines = [f"data: {json.dumps({'id': 'x', 'model': 'm', **one})}\n\n" for one in pieces]
            self._say("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

        def _say(self, kind: str, body: bytes) -> None:
            # Who was killed listens no more.
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def _kept(evaluations: Evaluations) -> dict[str, str]:
    """Key → job of the answers that are kept."""
    with contextlib.closing(Database.open(store_at(evaluations.server.home))) as database:
        return {row["key"]: row["job_id"] for row in database.query("SELECT key, job_id FROM evaluation_answers")}


def _until_kept(evaluations: Evaluations, number: int) -> None:
    deadline = time.monotonic() + 30
    while len(_kept(evaluations)) < number:
        assert time.monotonic() < deadline, evaluations.server.log[-2000:]
        time.sleep(0.05)
