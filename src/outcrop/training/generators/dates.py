"""Weekdays, months and written dates."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, exchange

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def question(random: Random) -> Example:
    return random.choices([_weekday, _month, _iso, _written], [3, 2, 3, 3])[0](random)


def _weekday(random: Random) -> Example:
    start, step = random.randrange(7), random.randint(1, 10)
    if random.random() < 0.4:
        step = 1
    back = random.random() < 0.4
    end = DAYS[(start - step if back else start + step) % 7]
    if step == 1:
        asks = ["Which day comes {} {}?", "What day is {} {}?"]
        return exchange("dates", random.choice(asks).format("before" if back else "after", DAYS[start]), end)
    text = f"Today is {DAYS[start]}. What day " + (f"was it {step} days ago?" if back else f"is it in {step} days?")
    return exchange("dates", text, end)


def _month(random: Random) -> Example:
    index = random.randrange(12)
    if random.random() < 0.5:
        asks = ["Which month is number {} of the year?", "What is month number {}?"]
        return exchange("dates", random.choice(asks).format(index + 1), MONTHS[index])
    asks = ["How many days does {} have?", "How many days are in {}?"]
    return exchange("dates", random.choice(asks).format(MONTHS[index]), str(LENGTHS[index]))


def _date(random: Random) -> tuple[int, int, int]:
    month = random.randrange(12)
    return random.randint(1950, 2049), month + 1, random.randint(1, LENGTHS[month])


def _iso(random: Random) -> Example:
    year, month, day = _date(random)
    asks = ["Write {} as an ISO date.", "Convert {} to the format YYYY-MM-DD.", "{} in ISO format?"]
    return exchange(
        "dates", random.choice(asks).format(f"{day} {MONTHS[month - 1]} {year}"), f"{year}-{month:02}-{day:02}"
    )


def _written(random: Random) -> Example:
    year, month, day = _date(random)
    asks = ["Write the date {} in words.", "Which date is {}?", "Spell out the date {}."]
    return exchange(
        "dates", random.choice(asks).format(f"{year}-{month:02}-{day:02}"), f"{day} {MONTHS[month - 1]} {year}"
    )
