"""Encryption at rest: keys of accounts, under which their content is encrypted wherever it is stored.

A room whose requests name a key calls `named`; what it writes to S3 takes the key's ARN (`objects.put(..., key=arn)`).
What goes into rows is sealed by `store.seals.sealed` and opened by `store.seals.opened`.
"""

from outcrop.encryption.keys import Key, Keys, NoSuchKey
from outcrop.encryption.named import named

__all__ = ["Key", "Keys", "NoSuchKey", "named"]
