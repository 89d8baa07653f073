"""Repeat what was said: the skill that small models lack and every tool call needs."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, exchange
from outcrop.training.generators.words import THINGS, city, full_name, identifier, made_up, name

ASKS = [
    "Repeat after me: {}",
    "Say exactly: {}",
    "Repeat this: {}",
    "Copy the following text: {}",
    "Please repeat: {}",
    'Write "{}" and nothing else.',
]


def repeat(random: Random) -> Example:
    makers = (name, city, full_name, identifier, made_up, lambda r: r.choice(THINGS), lambda r: str(r.randint(0, 9999)))
    words = [random.choice(makers)(random) for _ in range(random.randint(1, 6))]
    text = random.choice([" ", " ", ", "]).join(words)
    return exchange("copying", random.choice(ASKS).format(text), text)
