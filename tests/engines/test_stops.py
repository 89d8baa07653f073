from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines.openai.stops import StopFinder


def run(stops: tuple[str, ...], pieces: list[str]) -> tuple[str, str | None]:
    finder = StopFinder(stops)
    out = ""
    for piece in pieces:
        out += finder.feed(piece)
        if finder.found:
            return out, finder.found
    return out + finder.rest(), None


def test_nothing_is_held_that_cannot_begin_a_stop() -> None:
    finder = StopFinder(("END",))
    assert finder.feed("one two") == "one two"
    assert finder.feed(" E") == " "
    assert finder.feed("N") == ""
    assert finder.feed("x") == "ENx"
    assert finder.feed("END of it") == ""
    assert finder.found == "END"


def test_the_first_of_several_wins() -> None:
    assert run(("b", "a"), ["xxab"]) == ("xx", "a")


def test_without_stops_all_passes() -> None:
    assert run((), ["a", "b"]) == ("ab", None)
    assert run(("",), ["a", "b"]) == ("ab", None)


@given(
    st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.text("ab\nc", max_size=5), max_size=12),
)
def test_pieces_do_not_matter(stops: list[str], pieces: list[str]) -> None:
    """Cut anywhere, the answer ends where the earliest stop sequence begins in the whole text."""
    text = "".join(pieces)
    out, found = run(tuple(stops), pieces)
    places = [text.find(stop) for stop in stops if stop in text]
    if not places:
        assert (out, found) == (text, None)
        return
    assert found is not None
    # A shorter stop can be complete before an overlapping, earlier one is.
    assert text.startswith(out + found)
    assert not any(stop in out for stop in stops)
