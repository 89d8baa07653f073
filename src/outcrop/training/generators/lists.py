"""Counting, sorting small lists, and finding things in them."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, exchange
from outcrop.training.generators.words import COLOURS, THINGS

NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def question(random: Random) -> Example:
    return random.choice([_count, _how_many, _sort, _pick, _largest, _bullets])(random)


def _count(random: Random) -> Example:
    if random.random() < 0.4:
        end = random.randint(2, 12)
        asks = ["Count from one to {}.", "Count to {}.", "Count up to {} in words."]
        return exchange("lists", random.choice(asks).format(NUMBERS[end]), ", ".join(NUMBERS[1 : end + 1]))
    start, length = random.randint(1, 60), random.randint(3, 9)
    run = [str(n) for n in range(start, start + length)]
    if random.random() < 0.3:
        return exchange("lists", f"Count down from {run[-1]} to {run[0]}.", ", ".join(reversed(run)))
    return exchange("lists", f"Count from {run[0]} to {run[-1]}.", ", ".join(run))


def _how_many(random: Random) -> Example:
    items = random.sample(THINGS, random.randint(2, 7))
    asks = ["How many items are in this list: {}?", "Count the words: {}.", "How many things are these: {}?"]
    counted = ", ".join(f"{position} {item}" for position, item in enumerate(items, 1))
    return exchange("lists", random.choice(asks).format(", ".join(items)), f"{counted}. There are {len(items)}.")


def _sort(random: Random) -> Example:
    numbers = random.sample(range(1, 100), random.randint(3, 5))
    if random.random() < 0.3:
        return exchange(
            "lists",
            f"Sort from large to small: {', '.join(map(str, numbers))}",
            ", ".join(map(str, sorted(numbers, reverse=True))),
        )
    asks = ["Sort these numbers: {}", "Sort from small to large: {}", "Put these numbers in order: {}"]
    return exchange(
        "lists", random.choice(asks).format(", ".join(map(str, numbers))), ", ".join(map(str, sorted(numbers)))
    )


def _pick(random: Random) -> Example:
    items = random.sample(THINGS + COLOURS, random.randint(3, 6))
    positions = ["first", "second", "third"]
    if random.random() < 0.3:
        return exchange("lists", f"What is the last item of this list: {', '.join(items)}?", items[-1])
    index = random.randrange(3)
    return exchange("lists", f"What is the {positions[index]} item of this list: {', '.join(items)}?", items[index])


def _largest(random: Random) -> Example:
    numbers = random.sample(range(1, 100), random.randint(2, 4))
    largest = random.random() < 0.5
    asks = ["Which number is the {w}: {l}?", "What is the {w} of {l}?"]
    text = random.choice(asks).format(w="largest" if largest else "smallest", l=", ".join(map(str, numbers)))
    return exchange("lists", text, str(max(numbers) if largest else min(numbers)))


def _bullets(random: Random) -> Example:
    items = random.sample(THINGS, random.randint(2, 5))
    asks = ["Write as a bullet list: {}", "Make a list of {}", "Make a bullet list: {}"]
    return exchange("lists", random.choice(asks).format(", ".join(items)), "\n".join(f"- {item}" for item in items))
