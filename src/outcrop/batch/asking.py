"""One record, asked as InvokeModel or Converse would be, and its line of output."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from outcrop.batch import locations
from outcrop.batch.inputs import Record
from outcrop.batch.pace import Pace
from outcrop.batch.submitted import Submitted
from outcrop.batch.uncached import UncachedContext
from outcrop.context import Context, Parts
from outcrop.engines import attempts
from outcrop.engines.admission import Tier, ask_as, ask_for
from outcrop.errors import AwsError, InternalServerException, ThrottlingException, ValidationException
from outcrop.inference import operations
from outcrop.request import HttpRequest
from outcrop.store import ids
from outcrop.wire.model import Operation
from outcrop.wire.write import status_of, write_response

# Errors that are the server's and may pass, and how often a record is asked again for them.
PASSING = frozenset(
    {
        "InternalServerException", "ModelErrorException", "ModelNotReadyException", "ModelTimeoutException",
        "ServiceUnavailableException",
    }
)  # fmt: skip
TRIES = 5
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
# A record that is turned away for so long, while others are answered, asks for more than its account ever may.
HOPELESS_SECONDS = 900.0

RECORD_ID_LETTERS = 11

Operations = Mapping[tuple[str, str], Operation]

logger = logging.getLogger("outcrop.batch")


@dataclass(frozen=True, slots=True)
class Answer:
    """JSON, and what it cost."""

    body: bytes
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Written:
    """A line of output."""

    line: bytes
    success: bool
    input_tokens: int = 0
    output_tokens: int = 0


class Asking:
    """All that the records of one job have in common. `tier` is the class in which engines are asked."""

    def __init__(self, parts: Parts, wire: Operations, job: Submitted, pace: Pace, tier: Tier = "flex") -> None:
        self._parts = parts
        self._job = job
        self._pace = pace
        self._tier: Tier = tier
        self._operation = wire["bedrock-runtime", job.how]
        self._model_id = str(job.request["modelId"])
        self._objects = parts.objects.of(job.account)
        self._answered_at = time.monotonic()

    async def written(self, record: Record, place: str) -> Written:
        """The line for a record; `place` tells it from all others of the job."""
        lines: dict[str, Any] = {"modelInput": orjson.Fragment(record.given)}
        name = record.id or record_id(self._job.id, place)
        try:
            answer = await self.answered(record.given)
        except AwsError as error:
            lines["error"] = {"errorCode": status_of(self._operation, error), "errorMessage": error.message}
            return Written(orjson.dumps({**lines, "recordId": name}), False)
        lines["modelOutput"] = orjson.Fragment(answer.body)
        return Written(orjson.dumps({**lines, "recordId": name}), True, answer.input_tokens, answer.output_tokens)

    async def answered(self, given: bytes) -> Answer:
        """AwsError when it is not worth trying again."""
        ask_as(self._job.account)
        tries, first_refused = 0, None
        while True:
            # Whatever a body asked for before, the job's own class counts.
            ask_for(self._tier)
            attempts.begin()
            try:
                answer = await self._ask(given)
            except ThrottlingException as error:
                first_refused = first_refused or time.monotonic()
                if self._hopeless(first_refused):
                    raise
                self._pace.throttled()
                await asyncio.sleep(_wait(error))
            except AwsError as error:
                tries += 1
                if error.code not in PASSING or tries >= TRIES:
                    raise
                await asyncio.sleep(min(FIRST_PAUSE_SECONDS * 2**tries, LONGEST_PAUSE_SECONDS))
            else:
                self._pace.answered()
                self._answered_at = time.monotonic()
                return answer

    def _hopeless(self, since: float) -> bool:
        return time.monotonic() - since > HOPELESS_SECONDS and self._answered_at > since

    async def _ask(self, given: bytes) -> Answer:
        body = given
        if locations.MARK in given:
            body = await asyncio.to_thread(locations.with_bytes, given, self._objects, self._job.input_uri)
        ctx = UncachedContext(self._job.caller, self._job.region, ids.request_id(), self._parts)
        try:
            return await (self._converse(ctx, body) if self._job.how == "Converse" else self._invoke(ctx, body))
        except AwsError:
            raise
        except Exception:
            logger.exception("unhandled", extra={"request_id": ctx.request_id})
            raise InternalServerException(f"An internal error occurred. Request ID: {ctx.request_id}") from None

    async def _invoke(self, ctx: Context, body: bytes) -> Answer:
        response = await operations.invoke_model(
            ctx,
            {"modelId": self._model_id, "body": body, "contentType": "application/json", "accept": "application/json"},
        )
        told = ctx.response_headers
        used = (int(told.get(f"x-amzn-bedrock-{kind}-token-count", "0")) for kind in ("input", "output"))
        return Answer(_one_line(response["body"]), *used)

    async def _converse(self, ctx: Context, body: bytes) -> Answer:
        """Read, checked and written by the wire, as if it had come over HTTP."""
        name = quote(self._model_id, safe="")
        request = HttpRequest("POST", f"/model/{name}/converse", "", [("content-type", "application/json")], body)
        params: Any = self._operation.read(request, {"modelId": name})
        self._operation.check(params)
        if "serviceTier" in params:
            raise ValidationException("serviceTier is not supported in batch inference.")
        response = await operations.converse(ctx, params)
        _, _, written = write_response(self._operation, response)
        usage = response["usage"]
        return Answer(written, usage["inputTokens"], usage["outputTokens"])


def record_id(job_id: str, place: str) -> str:
    """For a record that has none: the same whenever this job answers it."""
    digest = hashlib.sha256(f"{job_id} {place}".encode()).digest()
    return base64.b32encode(digest).decode()[:RECORD_ID_LETTERS]


def _wait(error: AwsError) -> float:
    """Seconds; a little more than was said, and not the same for everybody."""
    milliseconds = float(error.headers.get("x-amz-retry-after", 1000))
    return min(max(milliseconds / 1000, 0.05), LONGEST_PAUSE_SECONDS) * random.uniform(1.0, 1.5)  # noqa: S311 - no secret


def _one_line(body: bytes) -> bytes:
    """Of an engine elsewhere, whose JSON may have line breaks."""
    return orjson.dumps(orjson.loads(body)) if b"\n" in body else body
