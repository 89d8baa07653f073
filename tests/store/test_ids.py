from __future__ import annotations

import re
import uuid

from outcrop.store.ids import UPPER_DIGITS, account_id, new_id, request_id


def test_ids_have_the_asked_length_and_letters() -> None:
    assert re.fullmatch("[a-z0-9]{12}", new_id())
    assert re.fullmatch("[A-Z0-9]{10}", new_id(10, UPPER_DIGITS))
    assert len({new_id() for _ in range(1000)}) == 1000


def test_request_ids_are_version_4_uuids() -> None:
    for _ in range(200):
        text = request_id()
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)


def test_account_ids_are_twelve_digits_and_numbers_of_that_length() -> None:
    for _ in range(200):
        account = account_id()
        assert re.fullmatch("[1-9][0-9]{11}", account)
