"""Batch inference: does a job keep the engine as busy as it can be, and what does it cost whoever else asks?

    python -m benchmarks.batch [--engines scripted,wide,house] [--rounds 5] [--seconds 6] [--pace 5]

In each round the same requests, but for a number in front that keeps prompt caches out of it, are answered three times, in
turn: by the engine itself, asked in a process of its own through `Engine.chat` by twice as many callers as it has places
(its saturated rate); over HTTP by as many clients in a closed loop; and as a batch job, from the moment at which it is
InProgress until all its output is written. Then another account sends `--pace` Converse requests a second, alone and beside
a batch job. `scripted` is the scripted engine with 8 places, 50 ms for an answer of 20 tokens; `wide` the same with
32 places; `house` the house model with 4, which writes up to 40 tokens. `--seconds` is about how long each measurement takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import aiohttp
import boto3
from rich.console import Console
from rich.table import Table
from yarl import URL

from benchmarks.fairness import second_account
from benchmarks.gateway import signed
from benchmarks.servers import Running, outcrop, write_results
from outcrop.app import App
from outcrop.engines.engine import ChatRequest, Engine, Finish, Message, Sampling, Text
from outcrop.settings import load

BUCKET, ROLE = "batch", "arn:aws:iam::123456789012:role/Batch"
OVERCOMMITTED = 2
ENDED = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})
CONTEXT = get_context("spawn")


@dataclass(frozen=True)
class Subject:
    """`rate`: about how many records a second it answers, to choose how many are asked."""

    name: str
    model: str
    places: int
    max_tokens: int
    rate: float
    settings: str


@dataclass(frozen=True)
class Rate:
    records_per_second: float
    tokens_per_second: float


def subjects(folder: Path) -> dict[str, Subject]:
    script = folder / "script.json"
    script.write_text(json.dumps({"rules": [{"text": "word " * 20, "first_delay_ms": 50}]}))
    common = '[server]\nlog = "off"\n[batch]\nleast_records = 1\n'
    scripted = (
        f'house_model = false\n{common}[[models]]\nid = "outcrop.scripted-v1:0"\nengine = "scripted"\n'
        f'script = "{script}"\nconcurrency = 8\n'
    )
    made = (
        Subject("scripted", "outcrop.scripted-v1:0", 8, 100, 8 / 0.05, scripted),
        Subject("wide", "outcrop.scripted-v1:0", 32, 100, 32 / 0.05, scripted.replace("= 8\n", "= 32\n")),
        Subject("house", "outcrop.house-nano-v1:0", 4, 40, 50.0, common),
    )
    return {subject.name: subject for subject in made}


def texts(run: int, number: int) -> list[str]:
    return [f"{run:04}{n:05} Tell me what {n} and {n + 1} make, and why." for n in range(number)]


def body(text: str, most: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": most, "temperature": 0},
    }


def of_the_engine(settings: str, model: str, given: Sequence[str], most: int, callers: int) -> Rate:
    """In a process of its own: nothing of a server is beside it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.toml")
        path.write_text(settings)
        engine = App(load(path), path.parent).parts.engines.get(model)
        return asyncio.run(_of_the_engine(engine, given, most, callers))


async def _of_the_engine(engine: Engine, given: Sequence[str], most: int, callers: int) -> Rate:
    await engine.start()
    try:
        waiting, tokens = iter(given), 0

        async def caller() -> None:
            nonlocal tokens
            for text in waiting:
                # Not in one line with the sum, which would be read before the answer is there.
                written = await _answered(engine, text, most)
                tokens += written

        begun = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return _rate(len(given), tokens, time.perf_counter() - begun)
    finally:
        await engine.close()


async def _answered(engine: Engine, text: str, most: int) -> int:
    request = ChatRequest((Message("user", (Text(text),)),), sampling=Sampling(max_tokens=most, temperature=0.0))
    tokens = 0
    async with aclosing(engine.chat(request)) as deltas:  # type: ignore[type-var]  # pooled engines give what can be closed
        async for delta in deltas:
            if isinstance(delta, Finish):
                tokens = delta.usage.output_tokens
    return tokens


def over_http(running: Running, subject: Subject, given: Sequence[str]) -> Rate:
    url = f"{running.url}/model/{subject.model.replace(':', '%3A')}/converse"
    bodies = [json.dumps(body(text, subject.max_tokens)).encode() for text in given]
    asked = [(one, signed(url, one, running.environment)) for one in bodies]
    return asyncio.run(_over_http(URL(url, encoded=True), asked, OVERCOMMITTED * subject.places))


async def _over_http(url: URL, asked: Sequence[tuple[bytes, Mapping[str, str]]], clients: int) -> Rate:
    waiting, tokens = iter(asked), 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client() -> None:
            nonlocal tokens
            for one, headers in waiting:
                async with session.post(url, data=one, headers=headers) as response:
                    if response.status != 200:
                        raise SystemExit(await response.text())
                    answer = await response.json()
                tokens += answer["usage"]["outputTokens"]

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return _rate(len(asked), tokens, time.perf_counter() - begun)


class Jobs:
    """Batch jobs of the server's first account, made as a client makes them."""

    def __init__(self, running: Running, subject: Subject) -> None:
        self._subject = subject
        keys = running.environment["AWS_ACCESS_KEY_ID"], running.environment["AWS_SECRET_ACCESS_KEY"]
        session = boto3.Session(*keys, region_name="us-east-1")
        self._s3 = session.client("s3", endpoint_url=running.url)
        self._bedrock = session.client("bedrock", endpoint_url=running.url)
        self._s3.create_bucket(Bucket=BUCKET)

    def create(self, given: Sequence[str]) -> str:
        records = [
            {"recordId": f"R{n}", "modelInput": body(one, self._subject.max_tokens)} for n, one in enumerate(given)
        ]
        lines = "".join(json.dumps(record) + "\n" for record in records)
        self._s3.put_object(Bucket=BUCKET, Key="in.jsonl", Body=lines.encode())
        made = self._bedrock.create_model_invocation_job(
            jobName="benchmark",
            roleArn=ROLE,
            modelId=self._subject.model,
            modelInvocationType="Converse",
            inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{BUCKET}/in.jsonl"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/out"}},
        )
        return str(made["jobArn"])

    def until(self, arn: str, statuses: frozenset[str]) -> dict[str, Any]:
        while True:
            job = dict(self._bedrock.get_model_invocation_job(jobIdentifier=arn))
            if job["status"] in statuses | ENDED:
                return job
            time.sleep(0.1)

    def stop(self, arn: str) -> None:
        if self.until(arn, frozenset({"InProgress"}))["status"] not in ENDED:
            self._bedrock.stop_model_invocation_job(jobIdentifier=arn)
        self.until(arn, ENDED)

    def rate(self, given: Sequence[str]) -> tuple[Rate, float]:
        """And seconds in all, from the call that made the job to its end."""
        arn = self.create(given)
        begun = self.until(arn, frozenset({"InProgress"}))
        job = self.until(arn, ENDED)
        if job["status"] != "Completed" or job["successRecordCount"] != len(given):
            raise SystemExit(str(job))
        # Nothing is kept before a part of it is: until then, its last change is when it went to work.
        if begun.get("processedRecordCount", 0):
            raise SystemExit("The job was too quick to be seen at its begin: give it more --seconds.")
        key = f"out/{arn.rpartition('/')[2]}/manifest.json.out"
        manifest = json.loads(self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        seconds = (job["endTime"] - begun["lastModifiedTime"]).total_seconds()
        whole = (job["endTime"] - job["submitTime"]).total_seconds()
        return _rate(len(given), manifest["outputTokenCount"], seconds), whole


def _rate(records: int, tokens: int, seconds: float) -> Rate:
    return Rate(records / seconds, tokens / seconds)


def latencies(
    running: Running, subject: Subject, keys: Mapping[str, str], run: int, pace: float, seconds: float
) -> list[float]:
    """Of Converse requests at a steady pace, whether or not earlier ones were answered."""
    url = f"{running.url}/model/{subject.model.replace(':', '%3A')}/converse"
    bodies = [json.dumps(body(text, subject.max_tokens)).encode() for text in texts(run, round(pace * seconds))]
    asked = [(one, signed(url, one, keys)) for one in bodies]
    return asyncio.run(_latencies(URL(url, encoded=True), asked, pace))


async def _latencies(url: URL, asked: Sequence[tuple[bytes, Mapping[str, str]]], pace: float) -> list[float]:
    found = list[float]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(given: bytes, headers: Mapping[str, str]) -> None:
            begun = time.perf_counter()
            async with session.post(url, data=given, headers=headers) as response:
                if response.status != 200:
                    raise SystemExit(await response.text())
                await response.read()
            found.append(time.perf_counter() - begun)

        tasks = list[asyncio.Task[None]]()
        for each in asked:
            tasks.append(asyncio.create_task(one(*each)))
            await asyncio.sleep(1 / pace)
        await asyncio.gather(*tasks)
    return found


def rates(running: Running, subject: Subject, jobs: Jobs, rounds: int, seconds: float) -> dict[str, Any]:
    number = round(subject.rate * seconds)
    engine, http, batch, whole = list[Rate](), list[Rate](), list[Rate](), list[float]()
    with ProcessPoolExecutor(1, CONTEXT) as apart:
        for turn in range(rounds):
            callers = OVERCOMMITTED * subject.places
            asked = (subject.settings, subject.model, texts(3 * turn, number), subject.max_tokens, callers)
            engine.append(apart.submit(of_the_engine, *asked).result())
            http.append(over_http(running, subject, texts(3 * turn + 1, number)))
            rate, in_all = jobs.rate(texts(3 * turn + 2, number))
            batch.append(rate)
            whole.append(in_all)
    told: dict[str, Any] = {"engine": subject.name, "places": subject.places, "records": number, "rounds": rounds}
    for name, found in (("engine", engine), ("http", http), ("batch", batch)):
        told[f"{name}_records_per_second"] = _median([rate.records_per_second for rate in found], 1)
        told[f"{name}_tokens_per_second"] = _median([rate.tokens_per_second for rate in found], 0)
    for name, others in (("engine", engine), ("http", http)):
        ratios = [ours.records_per_second / other.records_per_second for ours, other in zip(batch, others, strict=True)]
        told[f"batch_of_{name}"] = _median(ratios, 3)
        told[f"batch_of_{name}_from_to"] = [round(min(ratios), 3), round(max(ratios), 3)]
    told["submitted_to_ended_s"] = _median(whole, 2)
    return told


def beside(running: Running, subject: Subject, jobs: Jobs, options: argparse.Namespace) -> dict[str, Any]:
    keys = second_account(running)
    alone, crowded = list[float](), list[float]()
    # Enough that the job outlasts the measurement, however well it does.
    number = round(subject.rate * options.seconds * 4) + 200
    for turn in range(options.rounds):
        alone += latencies(running, subject, keys, 5000 + 3 * turn, options.pace, options.seconds)
        arn = jobs.create(texts(5001 + 3 * turn, number))
        if jobs.until(arn, frozenset({"InProgress"}))["status"] != "InProgress":
            raise SystemExit("The job did not last.")
        time.sleep(0.5)
        crowded += latencies(running, subject, keys, 5002 + 3 * turn, options.pace, options.seconds)
        if jobs.until(arn, frozenset({"InProgress"}))["status"] != "InProgress":
            raise SystemExit("The job ended before the measurement did.")
        jobs.stop(arn)
    figures = {
        f"{name}_{p}_ms": _percentile(found, p)
        for name, found in (("alone", alone), ("beside", crowded))
        for p in (50, 99)
    }
    return {"engine": subject.name, "requests_each": len(alone), "a_second": options.pace, **figures}


def _median(values: Sequence[float], digits: int) -> float:
    return round(statistics.median(values), digits)


def _percentile(seconds: Sequence[float], percent: int) -> float:
    return round(sorted(seconds)[int(percent / 100 * (len(seconds) - 1))] * 1000, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default="scripted,wide,house")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--pace", type=float, default=5)
    options = parser.parse_args()
    saturation, company = list[dict[str, Any]](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        known = subjects(Path(folder))
        for name in options.engines.split(","):
            subject = known[name]
            with outcrop(subject.settings, "--prewarm") as running:
                jobs = Jobs(running, subject)
                saturation.append(rates(running, subject, jobs, options.rounds, options.seconds))
                company.append(beside(running, subject, jobs, options))
    show("A batch job and the engine's own saturated rate, medians", saturation)
    show("Converse of another account, alone and beside a batch job", company)
    print(f"Written to {write_results('batch', {'saturation': saturation, 'beside': company})}")


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Figures downwards: there are more of them than fit beside each other."""
    table = Table(title=title)
    table.add_column("")
    for row in rows:
        table.add_column(str(row["engine"]), justify="right")
    for name in list(rows[0])[1:]:
        table.add_row(name.replace("_", " "), *(str(row[name]) for row in rows))
    Console().print(table)


if __name__ == "__main__":
    main()
