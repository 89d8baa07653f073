"""A key that a request of Bedrock's names: `kmsKeyId`, `customModelKmsKeyId`, `customerEncryptionKeyId` and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outcrop.encryption.keys import Disabled, Key, NoSuchKey, arn_of
from outcrop.errors import ValidationException

if TYPE_CHECKING:
    from outcrop.context import Context

USE = "kms:GenerateDataKey"


def named(ctx: Context, name: str) -> Key:
    """The enabled key of the caller's account, by ARN, id or alias, which the caller may encrypt with.

    AccessDeniedException if he may not, or it is another account's; ValidationException if it is not there, is in another
    region or is disabled.
    """
    try:
        key = ctx.keys.find(ctx.account, ctx.region, name)
    except NoSuchKey:
        # Whether there is such a key is told only to who may use it.
        ctx.require(USE, arn_of(name, ctx.account, ctx.region))
        raise ValidationException(f"The provided KMS key {name} does not exist or cannot be used.") from None
    ctx.require(USE, key.arn)
    if key.region != ctx.region:
        raise ValidationException(f"The provided KMS key {name} is not in the region {ctx.region}.")
    try:
        key.check()
    except Disabled:
        raise ValidationException(f"The provided KMS key {key.arn} is disabled.") from None
    return key
