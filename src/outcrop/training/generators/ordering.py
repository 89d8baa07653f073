"""Who is tallest of three: comparisons in any order and either direction."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, exchange
from outcrop.training.generators.words import NAMES

SCALES = [
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("heavier", "lighter", "heaviest", "lightest"),
    ("richer", "poorer", "richest", "poorest"),
]


def question(random: Random) -> Example:
    more, less, most, least = random.choice(SCALES)
    people = random.sample(NAMES, 3)
    facts = [
        f"{a} is {more} than {b}." if random.random() < 0.5 else f"{b} is {less} than {a}."
        for a, b in (people[:2], people[1:])
    ]
    random.shuffle(facts)
    top = random.random() < 0.5
    order = " > ".join(people)
    # The order is written out before the answer: one step at a time is what a small model can learn.
    answer = f"{order}. {people[0] if top else people[2]} is the {most if top else least}."
    return exchange("ordering", f"{' '.join(facts)} Who is the {most if top else least}?", answer)
