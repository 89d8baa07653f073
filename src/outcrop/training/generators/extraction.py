"""Facts in a sentence, wanted as JSON with given keys, with or without a schema in the prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from outcrop.training.generators import words
from outcrop.training.generators.example import Example, Message

Made = tuple[str, dict[str, Any]]


def _person(random: Random) -> Made:
    name, age = random.choice([words.name, words.full_name])(random), random.randint(3, 99)
    forms = [
        "{n} is {a} years old.",
        "{n} is {a}.",
        "My name is {n} and I am {a} years old.",
        "{n}, aged {a}, called today.",
        "Meet {n}, {a} years old.",
    ]
    return random.choice(forms).format(n=name, a=age), {"name": name, "age": age}


def _worker(random: Random) -> Made:
    name, job, city = words.name(random), random.choice(words.JOBS), words.city(random)
    forms = [
        "{n} is a {j} in {c}.",
        "{n} works as a {j} in {c}.",
        "In {c} lives {n}, a {j}.",
        "{n} lives in {c} and is a {j}.",
    ]
    return random.choice(forms).format(n=name, j=job, c=city), {"name": name, "job": job, "city": city}


def _resident(random: Random) -> Made:
    name, age, city = words.name(random), random.randint(3, 99), words.city(random)
    forms = ["{n} is {a} years old and lives in {c}.", "{n} ({a}) lives in {c}.", "{n} from {c} is {a} years old."]
    return random.choice(forms).format(n=name, a=age, c=city), {"name": name, "age": age, "city": city}


def _order(random: Random) -> Made:
    product, quantity, number = random.choice(words.THINGS), random.randint(1, 60), words.identifier(random)
    forms = ["Order {i}: {q} x {p}.", "Order {i} has {q} {p}.", "We need {q} {p} for order {i}."]
    return random.choice(forms).format(p=product, q=quantity, i=number), {
        "order": number,
        "product": product,
        "quantity": quantity,
    }


def _price(random: Random) -> Made:
    product, price = random.choice(words.THINGS), random.randint(1, 900)
    forms = ["The {p} costs {m} euros.", "{m} euros for a {p}.", "A {p} is {m} euros.", "Price of the {p}: {m} euros."]
    return random.choice(forms).format(p=product, m=price), {"product": product, "price": price}


def _contact(random: Random) -> Made:
    name, company = words.name(random), random.choice(words.COMPANIES)
    email = f"{name.lower()}@{company.lower()}.com"
    forms = ["{n} works at {c}, write to {e}.", "Contact {n} of {c}: {e}.", "{n} ({c}) has the address {e}."]
    return random.choice(forms).format(n=name, c=company, e=email), {"name": name, "company": company, "email": email}


def _event(random: Random) -> Made:
    what = random.choice(["meeting", "party", "concert", "lecture", "dinner", "workshop"])
    day = random.choice("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
    city = words.city(random)
    forms = ["The {w} is on {d} in {c}.", "On {d} there is a {w} in {c}.", "{c} hosts the {w} on {d}."]
    return random.choice(forms).format(w=what, d=day, c=city), {"event": what, "day": day, "city": city}


KINDS: list[Callable[[Random], Made]] = [_person, _person, _worker, _resident, _order, _price, _contact, _event]
LISTED = [
    "Extract the {k}: {t}",
    "Extract {k} as JSON: {t}",
    "Give me the {k} as JSON. {t}",
    "{t} Extract the {k} as JSON.",
    "Return JSON with {k}: {t}",
]
SCHEMED = ["Answer in JSON with this schema: {s}\n{t}", "{t}\nJSON schema: {s}", "Extract the data: {t}\nSchema: {s}"]


def extract(random: Random) -> Example:
    text, facts = random.choice(KINDS)(random)
    keys = random.sample(list(facts), random.randint(1, len(facts)) if random.random() < 0.4 else len(facts))
    if random.random() < 0.6:
        keys = [key for key in facts if key in keys]
    wanted = {key: facts[key] for key in keys}
    listed = keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"
    schema = json.dumps(
        {
            "type": "object",
            "properties": {k: {"type": "integer" if isinstance(v, int) else "string"} for k, v in wanted.items()},
        }
    )
    turns: list[Message] = []
    form = random.random()
    if form < 0.65:
        turns.append({"role": "user", "content": random.choice(LISTED).format(k=listed, t=text)})
    elif form < 0.8:
        turns.append({"role": "user", "content": random.choice(SCHEMED).format(s=schema, t=text)})
    else:
        order = random.choice(["Extract {} as JSON.", "Answer with JSON: {}.", "You extract {} from text as JSON."])
        turns.append({"role": "system", "content": order.format(listed)})
        turns.append({"role": "user", "content": text})
    turns.append({"role": "assistant", "content": json.dumps(wanted, ensure_ascii=False)})
    return Example("extraction", turns, wanted, "json")
