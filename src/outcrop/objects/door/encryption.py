"""What a request says of server-side encryption, and whether its caller may use the key that it, or an object, names."""

from __future__ import annotations

from collections.abc import Mapping

from outcrop.encryption.keys import DEFAULT
from outcrop.objects.door.call import Call
from outcrop.objects.errors import invalid_argument, not_implemented
from outcrop.objects.local.sealing import BUCKET_KEY, KEY, METHOD, NAMED, OWN, told

_OURS = frozenset({METHOD, KEY, BUCKET_KEY})


def asked(call: Call) -> Mapping[str, str]:
    """Headers to keep with what is put; none if the request says nothing. ObjectsError if it cannot be had."""
    headers = call.headers
    if strange := sorted(name for name in headers if name.startswith(METHOD) and name not in _OURS):
        raise not_implemented(f"What the header {strange[0]} asks for")
    method = headers.get(METHOD)
    if method == "aws:kms:dsse":
        raise not_implemented("Dual-layer encryption")
    if method not in (None, OWN, NAMED):
        raise invalid_argument("The encryption method specified is not supported", METHOD, method)
    if method != NAMED:
        if KEY in headers or (method is None and BUCKET_KEY in headers):
            raise invalid_argument(
                f"Server Side Encryption with AWS KMS managed key requires HTTP header {METHOD} : {NAMED}",
                METHOD,
                method or "null",
            )
        return {} if method is None else {METHOD: OWN}
    key = call.store.sealing.key(call.store.bucket(call.bucket), {KEY: headers[KEY]} if headers.get(KEY) else {})
    if key.alias != DEFAULT:
        call.may("kms:GenerateDataKey", key.arn)
    return {METHOD: NAMED, KEY: key.arn, **({BUCKET_KEY: "true"} if headers.get(BUCKET_KEY) == "true" else {})}


def may_decrypt(call: Call, headers: Mapping[str, str]) -> None:
    """AccessDenied unless the caller may use the key that an object names. The account's own needs no permission."""
    keys, arn = call.store.sealing.keys, headers.get(KEY)
    if arn is None or keys is None:
        return
    with told():
        is_own = keys.find(call.caller.account, call.region, arn).alias == DEFAULT
    if not is_own:
        call.may("kms:Decrypt", arn)
