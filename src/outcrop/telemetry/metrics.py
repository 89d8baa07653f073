"""Prometheus metrics on an address of their own, by the official client.

Seconds throughout. Names follow Prometheus' conventions; what is told of engines and their queues is read when asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outcrop.engines.engine import Finish, Usage
from outcrop.inference.usage import counts
from outcrop.telemetry.observer import Asked

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_FIRST_TOKEN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKEN_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

Status = Callable[[], Sequence[dict[str, Any]]]
# Engine, reservation, places, running, waiting.
Reservations = Callable[[], Sequence[tuple[str, str, int, int, int]]]


class Metrics:
    """`status` gives the engines as `/health` shows them, `reservations` what is kept for whom.

    OSError if the address is taken.
    """

    def __init__(self, status: Status, reservations: Reservations, *, host: str, port: int) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "outcrop_requests", "Requests by operation, status and error.", ["operation", "status", "error"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "outcrop_request_seconds", "From the request's last byte to the answer's.", ["operation"],
            buckets=_REQUEST_SECONDS, registry=registry,
        )  # fmt: skip
        self.generations = Counter(
            "outcrop_generations", "Answers of models by how they ended.", ["model", "account", "outcome"],
            registry=registry,
        )  # fmt: skip
        self.first_token = Histogram(
            "outcrop_time_to_first_token_seconds", "From asking the engine to its first token, the queue included.",
            ["model"], buckets=_FIRST_TOKEN_SECONDS, registry=registry,
        )  # fmt: skip
        self.between_tokens = Histogram(
            "outcrop_inter_token_seconds", "An answer's mean time between two tokens.",
            ["model"], buckets=_TOKEN_SECONDS, registry=registry,
        )  # fmt: skip
        self.tokens = Counter(
            "outcrop_tokens", "Tokens: input (not cached), cached input, and output.", ["model", "account", "kind"],
            registry=registry,
        )  # fmt: skip
        self._fallbacks = Counter(
            "outcrop_fallbacks", "Engines of a model that did not answer, so that another was tried.",
            ["model", "engine"], registry=registry,
        )  # fmt: skip
        registry.register(_Queues(status, reservations))
        self.server, self._thread = start_http_server(port, host, registry)

    def request(self, operation: str, status: int, error: str | None, seconds: float) -> None:
        self._requests.labels(operation, str(status), error or "").inc()
        self._seconds.labels(operation).observe(seconds)

    def generation(self, asked: Asked) -> _Generation:
        return _Generation(self, asked)

    def fallback(self, model_id: str, engine: str) -> None:
        self._fallbacks.labels(model_id, engine).inc()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)


class _Generation:
    def __init__(self, metrics: Metrics, asked: Asked) -> None:
        self._metrics = metrics
        self._model = asked.model_id
        self._account = asked.account
        self._begun = time.perf_counter()
        self._first: float | None = None

    def first(self) -> None:
        self._first = time.perf_counter()
        self._metrics.first_token.labels(self._model).observe(self._first - self._begun)

    def finished(self, usage: Usage, finish: Finish | None) -> None:
        count = counts(usage)
        metrics = self._metrics
        if self._first is not None and count.output > 1:
            seconds = (time.perf_counter() - self._first) / (count.output - 1)
            metrics.between_tokens.labels(self._model).observe(seconds)
        for kind, number in (
            ("input", count.fresh),
            ("cached", count.cached),
            ("written", count.written),
            ("output", count.output),
        ):
            metrics.tokens.labels(self._model, self._account, kind).inc(number)
        outcome = "embedded" if finish is None else finish.reason
        metrics.generations.labels(self._model, self._account, outcome).inc()

    def failed(self, code: str, produced: int = 0) -> None:
        self._metrics.generations.labels(self._model, self._account, code).inc()


class _Queues(Collector):
    def __init__(self, status: Status, reservations: Reservations) -> None:
        self._status = status
        self._reservations = reservations

    def collect(self) -> Iterator[Metric]:
        running = GaugeMetricFamily("outcrop_engine_running", "Requests an engine works on.", labels=["model"])
        waiting = GaugeMetricFamily("outcrop_engine_waiting", "Requests that wait for an engine.", labels=["model"])
        away = CounterMetricFamily("outcrop_engine_turned_away", "Requests beyond the queue's bound.", labels=["model"])
        ready = GaugeMetricFamily("outcrop_engine_ready", "1 where a request is answered now.", labels=["model"])
        restarts = CounterMetricFamily("outcrop_engine_restarts", "Starts after a crash.", labels=["model"])
        for engine in self._status():
            name = [str(engine["model"])]
            running.add_metric(name, engine["requests"] - engine["waiting"])
            waiting.add_metric(name, engine["waiting"])
            away.add_metric(name, engine["turned_away"])
            ready.add_metric(name, engine["state"] == "ready")
            if "restarts" in engine:
                restarts.add_metric(name, engine["restarts"])
        yield from (running, waiting, away, ready, restarts)
        yield from self._reserved()

    def _reserved(self) -> Iterator[Metric]:
        labels = ["model", "provisioned_model"]
        places = GaugeMetricFamily("outcrop_reserved_places", "Places that are kept for it.", labels=labels)
        running = GaugeMetricFamily("outcrop_reserved_running", "Its requests that run, in any place.", labels=labels)
        waiting = GaugeMetricFamily("outcrop_reserved_waiting", "Its requests that wait.", labels=labels)
        for model, name, *numbers in self._reservations():
            for family, number in zip((places, running, waiting), numbers, strict=True):
                family.add_metric([model, name], number)
        yield from (places, running, waiting)
