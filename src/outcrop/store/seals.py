"""What encrypts content on its way into a row and decrypts it on its way out. The database carries it and knows no keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from outcrop.errors import AccessDeniedException

if TYPE_CHECKING:
    from outcrop.store.database import Transaction

# What a sealed text begins with. No JSON does.
MARK = "sealed1."


class Unreadable(AccessDeniedException):
    """The key of what is stored is disabled, or not there: AWS's answer, in a sentence for the caller."""


class Damaged(Exception):
    """What is stored was altered, cut off or moved; a sentence."""


class Seals(Protocol):
    def seal(self, transaction: Transaction | None, account: str, region: str, text: str, place: str) -> str:
        """The text as it is stored for an account. It opens again only with the same `place`, which names row and column.

        In the transaction that writes it, if there is one. Unreadable if the account's key is disabled.
        """

    def open(self, text: str, place: str) -> str:
        """What was sealed; a text that never was, as it is. Unreadable; Damaged if it was altered or moved."""


def sealed(transaction: Transaction, account: str, region: str, text: str, place: str) -> str:
    """As it is where the database carries nothing that seals."""
    seals = transaction.seals
    return text if seals is None else seals.seal(transaction, account, region, text, place)


def opened(seals: Seals | None, text: str, place: str) -> str:
    """Unreadable, too, where there is nothing to open it with."""
    if seals is not None:
        return seals.open(text, place)
    if text.startswith(MARK):
        raise Unreadable("What is stored here is encrypted, and there is no key to open it with.")
    return text
