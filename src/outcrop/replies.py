"""What goes back: an operation's response, a foreign interface's answer, their streams, and errors of both."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from outcrop.call import Call
from outcrop.compatible.endpoint import Answered, Endpoint, Event
from outcrop.context import Context
from outcrop.errors import AwsError, InternalServerException, ServiceUnavailableException
from outcrop.serve.asgi import Reply
from outcrop.wire.model import Operation
from outcrop.wire.write import write_error, write_event, write_exception, write_response

logger = logging.getLogger("outcrop.app")


def aws_reply(operation: Operation, response: dict[str, Any], context: Context, call: Call) -> Reply:
    status, headers, body = write_response(operation, response)
    headers.append(("x-amzn-requestid", call.request_id))
    headers.extend(context.response_headers.items())
    stream = operation.output_event_stream
    if stream is None:
        return Reply(status, encoded(headers), body)
    return Reply(status, encoded(headers), _frames(operation, response[stream], call))


async def _frames(
    operation: Operation, events: AsyncIterator[dict[str, Any]], call: Call
) -> AsyncGenerator[bytes, None]:
    """Events as frames; an error after the first byte is an exception frame, and the last one."""
    try:
        async for event in events:
            yield write_event(operation, event)
    except AwsError as error:
        call.error = error.code
        yield write_exception(operation, error)
    except Exception:
        call.error = "InternalServerException"
        logger.exception("unhandled in stream", extra={"request_id": call.request_id})
        yield write_exception(operation, internal(call))
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def compatible_reply(endpoint: Endpoint, answered: Answered, context: Context, call: Call) -> Reply:
    headers = [(endpoint.dialect.request_id_header(), call.request_id), ("x-amzn-requestid", call.request_id)]
    headers.extend(context.response_headers.items())
    if isinstance(answered, dict):
        headers.append(("content-type", "application/json"))
        return Reply(200, encoded(headers), orjson.dumps(answered))
    headers += [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    return Reply(200, encoded(headers), _sent_events(endpoint, answered, call))


async def _sent_events(
    endpoint: Endpoint, events: AsyncGenerator[Event, None], call: Call
) -> AsyncGenerator[bytes, None]:
    """Server-sent events; an error after the first byte is an event, and the last one."""
    dialect = endpoint.dialect
    event: Event = {}
    try:
        async for event in events:
            yield dialect.frame(event)
        if end := dialect.end(event):
            yield end
    except AwsError as error:
        call.error = error.code
        yield dialect.failure(error, call.request_id)
    except Exception:
        call.error = "InternalServerException"
        logger.exception("unhandled in stream", extra={"request_id": call.request_id})
        yield dialect.failure(internal(call), call.request_id)
    finally:
        await events.aclose()


def compatible_error(endpoint: Endpoint, error: AwsError, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    status, body = endpoint.dialect.error(error, request_id)
    headers = [(endpoint.dialect.request_id_header(), request_id), ("content-type", "application/json")]
    return status, [*headers, ("x-amzn-requestid", request_id), *error.headers.items()], orjson.dumps(body)


def internal(call: Call) -> InternalServerException:
    return InternalServerException(f"An internal error occurred. Request ID: {call.request_id}")


def unavailable(call: Call) -> ServiceUnavailableException:
    return ServiceUnavailableException(f"The service is temporarily unavailable. Request ID: {call.request_id}")


def encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def error_reply(error: AwsError, call: Call) -> Reply:
    """In the words of the interface that was asked."""
    if call.endpoint is not None:
        status, headers, body = compatible_error(call.endpoint, error, call.request_id)
    else:
        status, headers, body = write_error(call.operation, error, call.request_id)
    return Reply(status, encoded(headers), body)
