"""Models that a customization asks: a teacher, a judge. As in batch inference, they are asked in the job's own name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from outcrop.batch.asking import Asking
from outcrop.batch.pace import Pace
from outcrop.batch.refused import Refused
from outcrop.batch.submitted import submitted
from outcrop.context import Parts
from outcrop.errors import AwsError
from outcrop.jobs import Job
from outcrop.wire.model import load_services


class Model:
    """Refused if there is none of that name any more."""

    def __init__(self, parts: Parts, job: Job, identifier: str, max_tokens: int | None) -> None:
        given = submitted(job)
        try:
            model = parts.catalogue.resolve(identifier, account=job.account, region=job.region)
        except AwsError as problem:
            raise Refused(f"{identifier}: {problem.message}") from None
        self._config: dict[str, Any] = {"temperature": 0} | ({} if max_tokens is None else {"maxTokens": max_tokens})
        pace = Pace(parts.engines.room(model.id), parts.settings.batch.in_flight)
        named = replace(
            given,
            request={
                **given.request,
                "modelId": identifier,
                "modelInvocationType": "Converse",
                "inputDataConfig": {"s3InputDataConfig": {"s3Uri": ""}},
            },
        )
        self._asking = Asking(parts, load_services().operations, named, pace)
        self.at_once = pace.limit

    async def answer(self, body: Mapping[str, Any]) -> str:
        """The text of the answer to a Converse body, at temperature 0. AwsError if there is none."""
        answer = await self._asking.answered(orjson.dumps({**body, "inferenceConfig": self._config}))
        content = orjson.loads(answer.body)["output"]["message"]["content"]
        return "".join(block.get("text", "") for block in content)
