"""The plots, made by plotly. Colours are numbers of a palette until the page knows whether it is light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from outcrop.evaluation.report.published import NOT_MEASURED, beside
from outcrop.evaluation.report.tables import first_metric, group_scores, main_scores, title_of
from outcrop.evaluation.results import Results, Score, costs

Figure = dict[str, Any]
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
# Pixels: of a mark, between categories, and of axis and legend.
_MARK, _BETWEEN, _AROUND, _LEGEND = 15, 18, 90, 24


def by_suite(results: Results) -> Figure:
    """A dot with its interval for each model and suite, what others published as open ones, chance as a line."""
    found = main_scores(results)
    suites = results.suites()
    traces = []
    for place, model in enumerate(results.models()):
        scores = [found[model, suite] for suite in suites if (model, suite) in found]
        traces.append(_dots(place, model, scores, [title_of(results, one.suite) for one in scores]))
    traces += _published(results, len(traces))
    chance = {run.title: run.chance for run in results.runs if run.chance is not None}
    if chance:
        traces.append(_chance(chance, len(traces)))
    titles = [title_of(results, suite) for suite in suites]
    return _categories(traces, titles, "Score, per cent")


def by_group(results: Results, suite: str) -> Figure:
    """The same for the subjects or languages of one suite."""
    scores = group_scores(results, suite)
    traces = []
    for place, model in enumerate(results.models()):
        if own := [one for one in scores if one.model == model]:
            traces.append(_dots(place, model, own, [one.group or "" for one in own]))
    return _categories(
        traces, results.groups(suite), f"{title_of(results, suite)}: {first_metric(results, suite)}, per cent"
    )


def speed(results: Results) -> Figure:
    """Quality against seconds an answer: a colour for each model, a shape for each suite."""
    found, spent = main_scores(results), {(one.model, one.suite): one for one in costs(results)}
    traces = []
    for number, suite in enumerate(results.suites()):
        for place, model in enumerate(results.models()):
            if (model, suite) not in found or spent[model, suite].seconds <= 0:
                continue
            score, cost = found[model, suite], spent[model, suite]
            trace = _dots(place, model, [score], [])
            trace.update(
                x=[cost.seconds / cost.answers],
                y=[100 * score.mean],
                error_x=None,
                error_y=_error([score]),
                orientation=None,
                offsetgroup=None,
                name=f"{model}, {title_of(results, suite)}",
                hovertemplate="%{y:.1f} % in %{x:.2f} s an answer<extra>%{fullData.name}</extra>",
            )
            trace.marker.symbol = SYMBOLS[number % len(SYMBOLS)]
            traces.append(trace)
    figure = go.Figure(traces)
    figure.update_layout(height=420 + _LEGEND * len(traces), **_plain())
    figure.update_xaxes(title=_titled("Seconds an answer (logarithmic)"), type="log", automargin=True)
    figure.update_yaxes(title=_titled("Score, per cent"), range=[0, 100], automargin=True)
    return _packed(figure)


def _dots(place: int, name: str, scores: Sequence[Score], categories: Sequence[str]) -> go.Scatter:
    """`meta.colour` says which colour of the palette it gets."""
    return go.Scatter(
        x=[100 * one.mean for one in scores],
        y=list(categories),
        error_x=_error(scores),
        customdata=[[100 * one.low, 100 * one.high, one.n] for one in scores],
        hovertemplate="%{x:.1f} % [%{customdata[0]:.1f}, %{customdata[1]:.1f}] of %{customdata[2]} items"
        "<extra>%{fullData.name}</extra>",
        mode="markers",
        cliponaxis=False,
        orientation="h",
        offsetgroup=str(place),
        name=_text(name),
        marker={"size": 9, "symbol": "circle"},
        meta={"colour": place},
    )


def _error(scores: Sequence[Score]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (one.high - one.mean) for one in scores],
        "arrayminus": [100 * (one.mean - one.low) for one in scores],
        "thickness": 1.5,
        "width": 4,
    }


def _published(results: Results, first: int) -> list[go.Scatter]:
    models = list(dict.fromkeys(one.model for one in beside(results)))
    traces = []
    for place, model in enumerate(models):
        own = [one for one in beside(results) if one.model == model]
        trace = go.Scatter(
            x=[one.score for one in own],
            y=[title_of(results, one.suite) for one in own],
            customdata=[one.asked for one in own],
            hovertemplate=f"%{{x:.1f}} %, %{{customdata}}<br>{NOT_MEASURED}<extra>{model}</extra>",
            mode="markers",
            orientation="h",
            offsetgroup="published",
            name=f"{model} (not measured here)",
            marker={"size": 8, "symbol": f"{SYMBOLS[place % len(SYMBOLS)]}-open"},
            meta={"colour": "muted"},
        )
        traces.append(trace)
    return traces


def _chance(chance: dict[str, float], place: int) -> go.Scatter:
    return go.Scatter(
        x=[100 * share for share in chance.values()],
        y=list(chance),
        hovertemplate="%{x:.0f} % by guessing<extra></extra>",
        mode="markers",
        orientation="h",
        offsetgroup="published",
        name="guessing",
        marker={"size": 14, "symbol": "line-ns", "line": {"width": 2}},
        meta={"colour": "muted"},
    )


def _categories(traces: Sequence[go.Scatter], categories: Sequence[str], title: str) -> Figure:
    figure = go.Figure(list(traces))
    lanes = len({trace.offsetgroup for trace in traces})
    height = _AROUND + len(categories) * (lanes * _MARK + _BETWEEN) + _LEGEND * len(traces)
    figure.update_layout(height=height, scattermode="group", scattergap=0.35, **_plain())
    figure.update_xaxes(title=_titled(title), range=[0, 100], automargin=True)
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(categories), autorange="reversed", automargin=True, title_text=None
    )
    return _packed(figure)


def _plain() -> dict[str, Any]:
    return {
        "template": "none",
        "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "xref": "container", "y": 0, "yanchor": "bottom", "yref": "container"},
        "hovermode": "closest",
        "dragmode": False,
    }


def _titled(text: str) -> dict[str, Any]:
    return {"text": _text(text), "font": {"size": 13}}


def _text(text: str) -> str:
    """plotly reads a little HTML in its texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _packed(figure: go.Figure) -> Figure:
    packed: Figure = figure.to_plotly_json()
    packed["layout"].pop("template", None)
    return packed
