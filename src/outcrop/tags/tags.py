"""Tags as rows, and the rules for them: up to 50 a resource, and AWS's prefix is AWS's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from outcrop.errors import TooManyTagsException, ValidationException
from outcrop.shapes.bedrock import Tag

if TYPE_CHECKING:
    from outcrop.store.database import Database, Transaction

MOST = 50


def of(database: Database, resource_arn: str) -> list[Tag]:
    """In the order of their keys."""
    rows = database.query("SELECT key, value FROM tags WHERE resource_arn = ? ORDER BY key", resource_arn)
    return [{"key": row["key"], "value": row["value"]} for row in rows]


def add(transaction: Transaction, resource_arn: str, tags: Sequence[Tag]) -> None:
    """Write over equal keys. ValidationException for a key that may not be, TooManyTagsException above 50 in all."""
    check(tags, resource_arn)
    have = {row["key"] for row in transaction.query("SELECT key FROM tags WHERE resource_arn = ?", resource_arn)}
    if len(have | {tag["key"] for tag in tags}) > MOST:
        raise _too_many(resource_arn)
    for tag in tags:
        transaction.execute(
            "INSERT INTO tags (resource_arn, key, value) VALUES (?, ?, ?) "
            "ON CONFLICT (resource_arn, key) DO UPDATE SET value = excluded.value",
            resource_arn,
            tag["key"],
            tag["value"],
        )


def remove(transaction: Transaction, resource_arn: str, keys: Sequence[str]) -> None:
    """Keys that are not there are no error."""
    for key in keys:
        transaction.execute("DELETE FROM tags WHERE resource_arn = ? AND key = ?", resource_arn, key)


def forget(transaction: Transaction, resource_arn: str) -> None:
    """All tags of a resource that is being deleted, and the policy that it has of its own."""
    transaction.execute("DELETE FROM tags WHERE resource_arn = ?", resource_arn)
    transaction.execute("DELETE FROM resource_policies WHERE resource_arn = ?", resource_arn)


def check(tags: Sequence[Tag], resource_arn: str = "") -> None:
    """Before a resource is made: what no resource can have. The same errors as of `add`."""
    keys = [tag["key"] for tag in tags]
    check_keys(keys)
    if len(set(keys)) < len(keys):
        raise ValidationException("The tags contain a key more than once. Give each key once and try again.")
    if len(keys) > MOST:
        raise _too_many(resource_arn)


def check_keys(keys: Sequence[str]) -> None:
    if any(key.lower().startswith("aws:") for key in keys):
        raise ValidationException("aws: prefixed tag key names are not allowed for external use.")


def _too_many(resource_arn: str) -> TooManyTagsException:
    return TooManyTagsException(
        f"The resource can have no more than {MOST} tags. Remove some tags and try again.",
        members={"resourceName": resource_arn} if resource_arn else {},
    )
