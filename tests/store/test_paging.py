from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.errors import ValidationException
from outcrop.store.paging import page

KEY = b"k" * 32
QUERY = "111122223333 us-east-1 ListThings status=Active"
ITEMS = [f"item-{number:03}" for number in range(10)]


def take(
    items: list[str], size: int | None, token: str | None = None, *, query: str = QUERY, descending: bool = False
) -> tuple[list[str], str | None]:
    return page(items, size, token, query=query, key=KEY, position=str, descending=descending)


@given(st.sets(st.text(max_size=20), max_size=60), st.integers(1, 20), st.booleans())
def test_the_pages_together_are_the_list(members: set[str], size: int, descending: bool) -> None:
    items = sorted(members, reverse=descending)
    collected, token = take(items, size, descending=descending)
    while token is not None:
        assert len(collected) % size == 0
        more, token = take(items, size, token, descending=descending)
        assert more
        collected += more
    assert collected == items


def test_without_a_size_a_page_has_the_default() -> None:
    assert take(ITEMS, None) == (ITEMS, None)
    assert page(ITEMS, None, None, query=QUERY, key=KEY, position=str, default=4)[0] == ITEMS[:4]


def test_what_is_made_or_deleted_between_two_calls_shifts_nothing() -> None:
    _, token = take(ITEMS, 4)
    changed = sorted([*ITEMS[:3], "item-001b", *ITEMS[4:]])
    assert take(changed, 100, token) == (ITEMS[4:], None)
    newest_first = ITEMS[::-1]
    _, token = take(newest_first, 4, descending=True)
    changed = ["item-010", *newest_first[:3], *newest_first[4:]]
    assert take(changed, 100, token, descending=True) == (newest_first[4:], None)


def test_tokens_are_opaque_words_of_allowed_length() -> None:
    _, token = take(ITEMS, 1)
    assert token is not None
    assert " " not in token
    assert len(token) <= 2048


def forged(token: str) -> dict[str, str]:
    raw = base64.urlsafe_b64decode(token)
    return {
        "empty": "",
        "words": "next page please",
        "not ascii": "ü" * 20,
        "endless": "A" * 10_000,
        "no mac": base64.urlsafe_b64encode(b"item-005").decode(),
        "other position": base64.urlsafe_b64encode(raw[:16] + b"item-007").decode(),
        "one bit": base64.urlsafe_b64encode(bytes([raw[0] ^ 1]) + raw[1:]).decode(),
        "not utf-8": base64.urlsafe_b64encode(raw[:16] + b"\xff\xfe").decode(),
        "cut": token[: len(token) // 2],
        "longer": token + "AAAA",
    }


@pytest.mark.parametrize("kind", list(forged(base64.urlsafe_b64encode(b"x" * 24).decode())))
def test_a_forged_token_is_refused(kind: str) -> None:
    _, token = take(ITEMS, 4)
    assert token is not None
    with pytest.raises(ValidationException, match="nextToken"):
        take(ITEMS, 4, forged(token)[kind])


@pytest.mark.parametrize("query", ["444455556666 us-east-1 ListThings status=Active", QUERY + "i", QUERY[:-1]])
def test_a_token_is_good_for_its_own_query_only(query: str) -> None:
    _, token = take(ITEMS, 4)
    with pytest.raises(ValidationException):
        take(ITEMS, 4, token, query=query)


def test_another_servers_token_is_refused() -> None:
    _, token = page(ITEMS, 4, None, query=QUERY, key=b"o" * 32, position=str)
    with pytest.raises(ValidationException):
        take(ITEMS, 4, token)


@given(st.text(max_size=100))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(ValidationException):
        take(ITEMS, 4, text)
