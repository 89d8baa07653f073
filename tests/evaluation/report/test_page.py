"""The page: what it holds, that it needs nothing else, and that no text of a model becomes anything but text."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable, Coroutine
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("plotly", reason="The page is made with plotly: pip install 'outcrop[evaluate]'.")

from outcrop.evaluation.item import EvaluationError
from outcrop.evaluation.report import answers
from outcrop.evaluation.report.page import html, write_html
from outcrop.evaluation.report.published import NOT_MEASURED, PUBLISHED
from outcrop.evaluation.results import Results
from tests.evaluation.report.browser import CHROMIUM, Page, browser
from tests.evaluation.report.made import MODELS, made, run

HOSTILE = (
    "</script></pre><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script><!-- ${x} &lt;"
)
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed.")


class Elements(HTMLParser):
    """Elements with their attributes, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._script = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs).get("id") or f"script{len(self.texts)}"
            self.texts[self._script] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = ""

    def handle_data(self, data: str) -> None:
        if self._script:
            self.texts[self._script] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def hostile() -> Results:
    results = made(items=3, models={HOSTILE: 0.5, "house": 0.5}, answer=HOSTILE)
    records = [
        msgspec.structs.replace(one, prompt=HOSTILE, reference=HOSTILE, group=f"{HOSTILE}{one.group}", detail=HOSTILE)
        for one in results.records
    ]
    return Results(results.runs, records)


def test_the_page_asks_for_nothing_and_runs_only_its_own_scripts() -> None:
    elements = Elements(html(made(items=4)))
    assert not any(name in attributes for _, attributes in elements.found for name in ("src", "srcset", "action"))
    places = {one["id"] for _, one in elements.found if "id" in one}
    assert {link["href"] for link in elements.all("a") if (link["href"] or "").startswith("#")} <= {
        f"#{id}" for id in places
    }
    assert all(link["href"] and link["href"].startswith(("#", "https://")) for link in elements.all("a"))
    assert not {"link", "img", "iframe", "object"} & {name for name, _ in elements.found}
    policy = next(one["content"] or "" for one in elements.all("meta") if one.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert "unsafe-eval" not in policy
    scripts = [text for name, text in elements.texts.items() if not name.endswith("-data")]
    hashes = {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts}
    assert hashes == set(re.findall(r"'sha256-([^']+)'", policy))


def test_texts_of_models_stay_text() -> None:
    elements = Elements(html(hostile()))
    assert len(elements.all("script")) == 4
    assert not elements.all("img")
    assert [one for one in elements.found if any(name.startswith("on") for name in one[1])] == []
    embedded = json.loads(elements.texts["answers-data"])
    assert embedded["items"][0]["answers"][0]["text"] == HOSTILE
    assert embedded["models"] == [HOSTILE, "house"]


def test_each_plot_has_a_table_beside_it() -> None:
    elements = Elements(html(made(items=22)))
    figures = json.loads(elements.texts["figures-data"])
    places = [one["data-figure"] for one in elements.all("div") if "data-figure" in one]
    assert set(places) == set(figures) == {"scores", "speed", "groups-mmlu", "groups-mgsm"}
    assert len(elements.all("caption")) == len(elements.all("table")) >= len(places)
    scores = figures["scores"]["data"]
    assert [trace["name"] for trace in scores[: len(MODELS)]] == list(MODELS)
    assert all(len(trace["error_x"]["array"]) == 3 for trace in scores[: len(MODELS)])


def test_scores_of_others_are_marked_and_have_their_source() -> None:
    page = html(made(items=2))
    names = {one.model for one in PUBLISHED}
    assert page.count(f"<small>{NOT_MEASURED}</small>") == len(names)
    sources = {one.source for one in PUBLISHED}
    assert all(f'<a href="{source}"' in page for source in sources)
    assert "ifeval" not in page


def test_what_has_no_room_is_left_out_and_the_page_says_so() -> None:
    results = made(items=100)
    few = answers.embedded(results, limit=60_000)
    assert 10 < len(few["items"]) < 300
    assert {item["suite"] for item in few["items"]} == {0, 1, 2}
    assert all(len(item["answers"]) == len(MODELS) for item in few["items"])
    assert few == answers.embedded(results, limit=60_000)
    page = html(results, limit=60_000)
    assert f"{len(few['items'])} of 300 questions are here" in page
    assert "All 300 questions are here." in html(results)


def test_a_long_text_is_cut_where_it_matters_least() -> None:
    results = made(items=1, models={"house": 1.0}, answer="begin" + "x" * 50_000)
    long = [msgspec.structs.replace(one, prompt="p" * 50_000 + "the question") for one in results.records]
    item = answers.embedded(Results(results.runs, long))["items"][0]
    assert item["prompt"].endswith("the question")
    assert item["answers"][0]["text"].startswith("begin")
    assert answers.CUT in item["prompt"]
    assert answers.CUT in item["answers"][0]["text"]
    assert len(item["prompt"]) < answers.TEXT + 100


def test_models_that_were_asked_differently_are_marked() -> None:
    results = made(items=2, models={"a": 0.5, "b": 0.5})
    other = Results([*results.runs[:-1], run("b", "humaneval", 2, temperature=0.7)], results.records)
    assert 'class="warning">The models were not asked humaneval in the same way' in html(other)
    assert 'class="warning">The models' not in html(results)


def test_without_results_or_plotly_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no results"):
        write_html(Results([], []), tmp_path / "report.html")
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(EvaluationError, match=re.escape("pip install 'outcrop[evaluate]'")):
        write_html(made(items=1), tmp_path / "report.html")


def in_browser(results: Results, folder: Path, look: Callable[[Page], Coroutine[Any, Any, None]]) -> None:
    write_html(results, folder / "report.html")

    async def all_of_it() -> None:
        async with browser() as page:
            await page.window(1280, 900, "light")
            await page.open(folder / "report.html")
            await look(page)
            assert page.problems == []
            assert page.requested == [(folder / "report.html").resolve().as_uri()]

    asyncio.run(all_of_it())


@in_chromium
def test_a_browser_draws_and_filters(tmp_path: Path) -> None:
    results = made(items=60)
    failed = len({one.item for one in results.records if one.failure})

    async def look(page: Page) -> None:
        assert await page.value("document.querySelectorAll('.plot svg.main-svg').length") >= 3
        assert await page.value("document.querySelector('#count').textContent") == "180 questions"
        assert await page.value("document.querySelectorAll('article').length") < 180
        assert await page.choose(suite="1") == "60 of 180 questions"
        assert await page.choose(group="=de") == "6 of 180 questions"
        assert await page.choose(suite="", group="", outcome="failed") == f"{failed} of 180 questions"
        right = sum(one.scores.get("accuracy", one.scores.get("pass")) == 1 for one in of(results, "house"))
        assert await page.choose(model="0", outcome="right") == f"{right} of 180 questions"
        assert await page.value("document.querySelectorAll('article:first-of-type .answer').length") == 1
        assert await page.choose(model="", outcome="", search="QUESTION 59 OF MGSM") == "1 of 180 questions"
        side = "[...document.querySelectorAll('.answer header span:first-child')].map((one) => one.textContent)"
        assert await page.value(side) == list(MODELS)

    in_browser(results, tmp_path, look)


@in_chromium
def test_a_long_reference_waits_behind_a_summary(tmp_path: Path) -> None:
    results = made(items=1, models={"house": 1.0})
    tests = json.dumps({"test": "def check(f):\n    assert f(1) == 2", "kwargs": [{"n": 1}]})
    long = [msgspec.structs.replace(one, reference=tests) for one in results.records]

    async def look(page: Page) -> None:
        text = await page.value("document.querySelector('details.reference pre').textContent")
        assert text == 'test:\ndef check(f):\n    assert f(1) == 2\n\nkwargs:\n[\n  {\n    "n": 1\n  }\n]'
        assert not await page.value("document.querySelector('details.reference').open")

    in_browser(Results(results.runs, long), tmp_path, look)


def of(results: Results, model: str) -> list[Any]:
    return [one for one in results.records if one.model.startswith(model)]


@in_chromium
def test_a_browser_shows_hostile_texts_as_text(tmp_path: Path) -> None:
    async def look(page: Page) -> None:
        assert await page.value("document.title") == "Evaluation"
        assert await page.value("document.querySelectorAll('img').length") == 0
        assert await page.value("document.querySelector('.answer pre').textContent") == HOSTILE
        assert await page.choose(search=HOSTILE) == "9 questions"
        await page.value("document.querySelector('.plot').scrollIntoView()")
        assert await page.value("document.title") == "Evaluation"

    in_browser(hostile(), tmp_path, look)


@in_chromium
def test_the_policy_would_stop_what_got_in(tmp_path: Path) -> None:
    """A script that is put into the page by hand, as if escaping had failed."""
    write_html(made(items=1), tmp_path / "report.html")
    page_text = (tmp_path / "report.html").read_text()
    evil = "<script>document.title = 'taken'</script><img src='https://example.com/leak'>"
    (tmp_path / "evil.html").write_text(page_text.replace("<main>", f"<main>{evil}"))

    async def look() -> None:
        async with browser() as page:
            await page.open(tmp_path / "evil.html")
            assert await page.value("document.title") == "Evaluation"
            assert any("Content Security Policy" in one for one in page.problems)
            assert len(page.problems) >= 2

    asyncio.run(look())


@in_chromium
def test_the_page_fits_its_window_in_both_schemes(tmp_path: Path) -> None:
    def brightness(colour: str) -> float:
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    async def look(page: Page) -> None:
        for width, scheme in product((360, 820, 1600), ("light", "dark")):
            await page.window(width, 900, scheme)
            await page.value("new Promise((done) => setTimeout(done, 300))")
            assert await page.value("document.documentElement.scrollWidth") <= width
            ground = await page.value("getComputedStyle(document.body).backgroundColor")
            assert brightness(ground) > 200 if scheme == "light" else brightness(ground) < 60
            drawn = await page.value("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
            assert brightness(drawn) < 60 if scheme == "light" else brightness(drawn) > 200

    in_browser(made(items=12), tmp_path, look)


@in_chromium
def test_twenty_thousand_records_are_opened_and_searched(tmp_path: Path) -> None:
    async def look(page: Page) -> None:
        assert await page.value("document.querySelectorAll('article').length") <= 60
        assert "6,666" in await page.value("document.querySelector('#count').textContent")
        assert await page.choose(search="question 2221 of mmlu") == "1 of 6,666 questions"

    in_browser(made(items=2222), tmp_path, look)
