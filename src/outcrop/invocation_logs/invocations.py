"""Logging the invocations of accounts that ask for it, whole or streamed, answered or refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any, cast

import orjson

from outcrop.context import Context
from outcrop.errors import AwsError
from outcrop.invocation_logs.configurations import Configurations
from outcrop.invocation_logs.delivery import Delivery, Place
from outcrop.invocation_logs.operations import root
from outcrop.invocation_logs.record import Data, body_members, dumps, tokens_of, usage_in, without_media
from outcrop.shapes.bedrock import LoggingConfig

LOGGED = frozenset({"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"})
_STREAMS = {"ConverseStream": "stream", "InvokeModelWithResponseStream": "body"}


class Invocations:
    def __init__(self, configurations: Configurations, delivery: Delivery) -> None:
        self._configurations = configurations
        self.delivery = delivery

    def begun(self, ctx: Context, operation: str, body: bytes, params: Mapping[str, Any]) -> Invocation | None:
        """None where this one is not logged."""
        if operation not in LOGGED:
            return None
        configuration = self._configurations.of(ctx.account, ctx.region)
        if configuration is None:
            return None
        return Invocation(ctx, operation, body, params, configuration, self.delivery, ctx.now())


class Invocation:
    """One that is logged when it ends."""

    def __init__(
        self,
        ctx: Context,
        operation: str,
        body: bytes,
        params: Mapping[str, Any],
        configuration: LoggingConfig,
        delivery: Delivery,
        time: datetime,
    ) -> None:
        self._ctx = ctx
        self._operation = operation
        self._body = body
        self._params = params
        self._configuration = configuration
        self._delivery = delivery
        self._time = time

    def failed(self, error: AwsError) -> None:
        self._log(None, {}, error.code)

    def answered(self, response: dict[str, Any]) -> dict[str, Any]:
        """The response; one that streams is logged when its stream ends."""
        stream = _STREAMS.get(self._operation)
        if stream is not None:
            return {**response, stream: self._watched(response[stream])}
        if self._operation == "Converse":
            self._log(response, response["usage"], None)
        else:
            self._log(_json(response["body"]), _told(self._ctx.response_headers), None)
        return response

    async def _watched(self, events: AsyncIterator[Any]) -> AsyncIterator[Any]:
        seen: list[Any] = []
        code: str | None = "ClientDisconnected"
        try:
            async with aclosing(cast("Any", events)):
                async for event in events:
                    seen.append(_json(event["chunk"]["bytes"]) if "chunk" in event else event)
                    yield event
            code = None
        except AwsError as error:
            code = error.code
            raise
        finally:
            self._log(seen, usage_in(seen), code)

    def _log(self, output: Any, usage: Mapping[str, int], code: str | None) -> None:
        ctx = self._ctx
        folder = f"{root(self._configuration, ctx.account, ctx.region)}/{self._time.strftime('%Y/%m/%d/%H')}"
        data: Data = {}
        ins, outs = tokens_of(usage)
        record: dict[str, Any] = {
            "schemaType": "ModelInvocationLog",
            "schemaVersion": "1.0",
            "timestamp": self._time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "accountId": ctx.account,
            "region": ctx.region,
            "requestId": ctx.request_id,
            "operation": self._operation,
            "modelId": self._params["modelId"],
            "identity": {"arn": ctx.caller.arn},
            "input": {"inputContentType": "application/json", **self._input(folder, data), **ins},
        }
        if "requestMetadata" in self._params:
            record["requestMetadata"] = self._params["requestMetadata"]
        if code is not None:
            record["errorCode"] = code
        if output is not None:
            text = self._wanted(output)
            shown = body_members("output", output, folder, ctx.request_id, data) if text else {}
            record["output"] = {"outputContentType": "application/json", **shown, **outs}
        self._delivery.record(Place(ctx.account, folder), dumps(record), data)

    def _input(self, folder: str, data: Data) -> dict[str, Any]:
        if not self._configuration.get("textDataDeliveryEnabled", True):
            return {}
        body = _json(self._body)
        if self._operation.startswith("Converse"):
            keep = self._configuration.get("imageDataDeliveryEnabled", True)
            body = without_media(body, folder, self._ctx.request_id, data, keep=keep)
        return body_members("input", body, folder, self._ctx.request_id, data)

    def _wanted(self, output: Any) -> bool:
        """Whether an answer of its kind is to be logged."""
        if isinstance(output, dict) and ("embedding" in output or "embeddings" in output):
            return self._configuration.get("embeddingDataDeliveryEnabled", True)
        return self._configuration.get("textDataDeliveryEnabled", True)


def _json(body: bytes) -> Any:
    """A body that is no JSON stands in the record as text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _told(headers: Mapping[str, str]) -> dict[str, int]:
    """What InvokeModel's headers say that it cost."""
    names = {
        "inputTokenCount": "x-amzn-bedrock-input-token-count",
        "outputTokenCount": "x-amzn-bedrock-output-token-count",
        "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
        "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
    }
    return {member: int(headers[name]) for member, name in names.items() if name in headers}
