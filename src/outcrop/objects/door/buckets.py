"""Operations on buckets."""

from __future__ import annotations

from collections.abc import Mapping

from outcrop.objects.door.call import XML, Answer, Call
from outcrop.objects.door.headers import refuse_not_built
from outcrop.objects.door.xml import NAMESPACE, document, malformed, parsed, timestamp
from outcrop.objects.errors import ObjectsError


def list_buckets(call: Call) -> Answer:
    prefix = call.query.get("prefix", "")
    found = [bucket for bucket in call.store.buckets_of(call.caller.account) if bucket.name.startswith(prefix)]
    listed = [
        {"Name": bucket.name, "CreationDate": timestamp(bucket.created_at), "BucketRegion": bucket.region}
        for bucket in found
    ]
    return xml_answer("ListAllMyBucketsResult", {"Owner": {"ID": call.caller.account}, "Buckets": {"Bucket": listed}})


def create_bucket(call: Call) -> Answer:
    """The region that it asks for is kept and told, and means nothing else."""
    refuse_not_built(call.headers)
    region = "us-east-1"
    if call.body.strip():
        configuration = parsed(call.body, "CreateBucketConfiguration")
        region = configuration.text("LocationConstraint") or region
    if len(region) > 40 or not region.replace("-", "").isalnum():
        raise malformed()
    call.store.create_bucket(call.bucket, call.caller.account, region)
    return Answer(headers={"location": f"/{call.bucket}"})


def head_bucket(call: Call) -> Answer:
    bucket = call.store.bucket(call.bucket)
    return Answer(headers={"x-amz-bucket-region": bucket.region, "content-type": XML})


def delete_bucket(call: Call) -> Answer:
    call.store.delete_bucket(call.bucket)
    return Answer(204)


def get_bucket_location(call: Call) -> Answer:
    """us-east-1 is called nothing."""
    region = call.store.bucket(call.bucket).region
    text = "" if region == "us-east-1" else region
    opening = '<?xml version="1.0" encoding="UTF-8"?>\n'
    body = f'{opening}<LocationConstraint xmlns="{NAMESPACE}">{text}</LocationConstraint>'
    return Answer(headers={"content-type": XML}, body=body.encode())


def get_bucket_versioning(call: Call) -> Answer:
    """Never switched on."""
    return xml_answer("VersioningConfiguration", {})


def xml_answer(root: str, content: dict[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, {"content-type": XML, **(headers or {})}, document(root, content))  # type: ignore[arg-type]


def own_bucket(call: Call, name: str) -> None:
    """NoSuchBucket, or AccessDenied if it is another account's."""
    if call.store.bucket(name).account != call.caller.account:
        raise ObjectsError("AccessDenied", "Access Denied")
