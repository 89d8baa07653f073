"""Canaries in everything that a client can bring: objects, batches, invocations, conversations."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from openai import OpenAI

from tests.batch.batches import MODEL, Batches, connect, converse, id_of, messages
from tests.encryption.search import canary
from tests.live import Server

PART = 5 * 1024 * 1024


def plant(server: Server) -> None:
    """Everything that is asked is answered with the canary in it; see that it is."""
    batches = connect(server)
    _objects(batches.s3, batches.bucket)
    _invocations(batches)
    _batch(batches)
    _later(batches)
    _responses(server)


def _objects(s3: Any, bucket: str) -> None:
    body = f"A body with {canary('single')} in it.".encode()
    s3.put_object(Bucket=bucket, Key="single", Body=body)
    assert s3.get_object(Bucket=bucket, Key="single")["Body"].read() == body
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/single")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    parts = [canary("part").encode() * (PART // 20), f"the end: {canary('last part')}".encode()]
    etags = [
        s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    done = {"Parts": [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, 1)]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=done)
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"".join(parts)
    left = s3.create_multipart_upload(Bucket=bucket, Key="never")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="never", UploadId=left, PartNumber=1, Body=canary("left").encode())


def _invocations(batches: Batches) -> None:
    logging = {"s3Config": {"bucketName": batches.bucket, "keyPrefix": "records"}, "textDataDeliveryEnabled": True}
    batches.bedrock.put_model_invocation_logging_configuration(loggingConfig=logging)
    said = batches.runtime.converse(modelId=MODEL, **converse(canary("converse")))
    assert canary("converse") in json.dumps(said["output"])
    for _ in range(100):
        listed = batches.s3.list_objects_v2(Bucket=batches.bucket, Prefix="records/")["Contents"]
        if any(entry["Key"].endswith(".gz") for entry in listed):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the invocation was never logged")


def _batch(batches: Batches) -> None:
    lines = [{"recordId": f"R{n}", "modelInput": converse(canary(f"record {n}"))} for n in range(5)]
    source = batches.put("canaries/in.jsonl", lines)
    arn = batches.create(source, modelInvocationType="Converse")
    assert batches.until(arn)["status"] == "Completed"
    assert canary("record 4") in json.dumps(batches.read(arn, "in.jsonl.out"))
    # One that is still under way when the server is killed: some of its records are answered.
    lines.append({"recordId": "R9", "modelInput": converse(f"for ever {canary('waiting')}")})
    slow = batches.create(batches.put("canaries/slow.jsonl", lines), modelInvocationType="Converse")
    batches.until(slow, "InProgress")


def _later(batches: Batches) -> None:
    place = {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/later"}}
    arn = batches.runtime.start_async_invoke(
        modelId=MODEL, modelInput=messages(canary("async")), outputDataConfig=place
    )["invocationArn"]
    for _ in range(200):
        if batches.runtime.get_async_invoke(invocationArn=arn)["status"] != "InProgress":
            break
        time.sleep(0.05)
    body = batches.s3.get_object(Bucket=batches.bucket, Key=f"later/{id_of(arn)}/output.json")["Body"].read()
    assert canary("async").encode() in body


def _responses(server: Server) -> None:
    client = openai(server)
    first = client.responses.create(model=MODEL, input=canary("response"), store=True)
    assert canary("response") in first.output_text
    second = client.responses.create(model=MODEL, input=canary("follow-up"), previous_response_id=first.id)
    assert client.responses.retrieve(second.id).id == second.id


def openai(server: Server) -> OpenAI:
    printed = subprocess.run(
        [sys.executable, "-m", "outcrop", "keys", "create", "--api-key", "--json"],
        env=dict(server.environment), check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    token = json.loads(printed)["ServiceApiKeyValue"]
    return OpenAI(base_url=f"{server.url}/openai/v1", api_key=token, max_retries=0)


def put_without_end(server: Server) -> http.client.HTTPConnection:
    """An upload that is under way, of which a part has come. Close what it gives."""
    size = 64 * 1024 * 1024
    url = connect(server).s3.generate_presigned_url("put_object", Params={"Bucket": "batches", "Key": "draft"})
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.netloc)
    connection.putrequest("PUT", f"{at.path}?{at.query}")
    connection.putheader("content-length", str(size))
    connection.endheaders()
    connection.send(canary("draft").encode() * (8 * 1024 * 1024 // len(canary("draft"))))
    drafts = server.home / "objects" / "_drafts"
    for _ in range(200):
        if any(path.stat().st_size > 4 * 1024 * 1024 for path in drafts.iterdir()):
            return connection
        time.sleep(0.05)
    raise AssertionError("the draft never grew")
