"""Numbers as each language of MGSM writes them."""

from __future__ import annotations

import pytest

from outcrop.evaluation.item import Options
from outcrop.evaluation.suites import SUITES
from outcrop.evaluation.suites.mgsm import PREFIXES
from outcrop.evaluation.suites.numbers import equal, last, numbers
from tests.evaluation.benchmarks import items_of

FORMS = [
    ("en", "1,250", "1250"), ("en", "1,250.50", "1250.5"), ("en", "$1,250.00", "1250"), ("en", "-3", "-3"),
    ("en", "0.25", "0.25"), ("en", "1'250", "1250"), ("en", "3 1/2 or 7", "7"), ("en", "18%", "18"), ("en", "18.", "18"),
    ("en", "1 250 000", "1250000"), ("en", "the 16 3 4", "4"), ("en", "1.250", "1.25"), ("en", "=18", "18"),
    ("de", "1.250", "1250"), ("de", "1.250,50 €", "1250.5"), ("de", "1 250 Euro", "1250"), ("de", "3,5", "3.5"),
    ("de", "12.345.678", "12345678"), ("es", "1.250", "1250"), ("es", "1 250", "1250"), ("es", "2,5", "2.5"),
    ("fr", "1 250", "1250"), ("fr", "1\u202f250,5", "1250.5"), ("fr", "1\u00a0250 €", "1250"), ("fr", "0,25", "0.25"),
    ("ru", "1 250", "1250"), ("ru", "1\u00a0250,00 руб.", "1250"), ("ru", "−18", "-18"), ("ru", "2,75", "2.75"),
    ("bn", "১৮", "18"), ("bn", "১,২৫০", "1250"), ("bn", "১,২৫,০০০ টাকা", "125000"), ("bn", "১৮।", "18"),
    ("te", "౧౮", "18"), ("te", "౧,౨౫,౦౦౦", "125000"), ("te", "1,25,000", "125000"),
    ("th", "๑๘", "18"), ("th", "๑,๒๕๐ บาท", "1250"), ("th", "1,250.50", "1250.5"),
    ("ja", "１８", "18"), ("ja", "１，２５０円", "1250"), ("ja", "1,250円です。", "1250"), ("ja", "18個", "18"),
    ("zh", "１２５０", "1250"), ("zh", "1,250元。", "1250"), ("zh", "－３", "-3"), ("zh", "３．５", "3.5"),
    ("sw", "1,250", "1250"), ("sw", "$1,250.50", "1250.5"), ("sw", "shilingi 18", "18"),
]  # fmt: skip


def test_every_language_has_its_forms() -> None:
    assert {language for language, _, _ in FORMS} == set(PREFIXES)


@pytest.mark.parametrize(("language", "text", "expected"), FORMS)
def test_forms(language: str, text: str, expected: str) -> None:
    found = last(text, language)
    assert found == expected
    assert equal(found, expected)


@pytest.mark.parametrize(("language", "text", "expected"), FORMS)
def test_behind_the_word_for_answer(language: str, text: str, expected: str) -> None:
    """As a model's last line, with a colon of either width, in bold or not, after other numbers and before none."""
    item = items_of("mgsm", Options(groups=(language,)))[0]
    known = type(item)(item.id, item.prompt, expected, item.group, item.cluster)
    prefix = PREFIXES[language]
    for line in (f"{prefix}: {text}", f"{prefix}：{text}", f"**{prefix}:** {text}", f"{prefix}\n{text}"):
        assert SUITES["mgsm"].score(known, f"4 + 5 = 9\n\n{line}").scores["accuracy"] == 1.0, line
        assert SUITES["mgsm"].score(item, f"{line}7").scores["accuracy"] == 0.0


def test_the_accent_may_be_a_sign_of_its_own() -> None:
    item = items_of("mgsm", Options(groups=("fr",)))[0]
    assert SUITES["mgsm"].score(item, f"Re\u0301ponse: {item.reference}").scores["accuracy"] == 1.0


def test_without_the_word_there_is_no_strict_answer() -> None:
    item = items_of("mgsm", Options(groups=("de",)))[0]
    scored = SUITES["mgsm"].score(item, f"Es sind {item.reference}.")
    assert scored.scores == {"accuracy": 0.0, "flexible": 1.0}
    assert scored.extracted == item.reference


def test_several_and_none() -> None:
    assert numbers("16 - 3 - 4 = 9, so 9 * 2 = $18.") == ["16", "3", "4", "9", "9", "2", "18"]
    assert numbers("none at all") == []
    assert last("") is None
    assert not equal(None, "3")
    assert equal("18.0", "18")
    assert not equal("1.8.0", "18")
