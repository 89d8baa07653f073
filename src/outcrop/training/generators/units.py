"""Units whose conversion is a short multiplication."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, exchange

FACTORS = [
    ("kilometres", "metres", 1000),
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
    ("kilograms", "grams", 1000),
    ("litres", "millilitres", 1000),
    ("tonnes", "kilograms", 1000),
    ("euros", "cents", 100),
    ("decades", "years", 10),
    ("weeks", "days", 7),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("days", "hours", 24),
    ("years", "months", 12),
    ("dozens", "pieces", 12),
]
ASKS = [
    "How many {small} are {n} {big}?",
    "Convert {n} {big} to {small}.",
    "{n} {big} in {small}?",
    "What is {n} {big} in {small}?",
]


def question(random: Random) -> Example:
    big, small, factor = random.choice(FACTORS)
    count = random.randint(2, 99) if factor % 10 == 0 and factor != 60 else random.randint(2, 10)
    if random.random() < 0.3 and factor % 10 == 0 and factor != 60:
        text = random.choice(ASKS).format(n=count * factor, big=small, small=big)
        return exchange("units", text, f"{count * factor} {small} are {count} {big}.")
    text = random.choice(ASKS).format(n=count, big=big, small=small)
    return exchange("units", text, f"{count} {big} are {count * factor} {small}.")
