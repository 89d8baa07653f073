"""Letters of words: first, last, upper case, spelling, reversal, length."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, exchange
from outcrop.training.generators.words import THINGS, made_up


def question(random: Random) -> Example:
    word = random.choice(THINGS) if random.random() < 0.6 else made_up(random)
    asks = [
        (["What is the first letter of {}?", "Which letter does {} begin with?"], word[0]),
        (["What is the last letter of {}?", "Which letter does {} end with?"], word[-1]),
        (["Write {} in upper case.", "Uppercase the word {}.", "Convert {} to capital letters."], word.upper()),
        (["Spell the word {}.", "Spell {} letter by letter."], "-".join(word)),
        (["Reverse the word {}.", "Write {} backwards."], "-".join(word) + " -> " + word[::-1]),
        (["How many letters does {} have?", "Count the letters in {}."], "-".join(word) + f": {len(word)}"),
        (["Capitalize the word {}.", "Write {} with a capital letter."], word.capitalize()),
    ]
    templates, answer = random.choice(asks)
    return exchange("strings", random.choice(templates).format(f'"{word}"' if random.random() < 0.5 else word), answer)
