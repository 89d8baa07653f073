"""Tool calls: common tools in many wordings, and made-up ones whose names and arguments can only be copied from the prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from outcrop.training.generators import chat, words
from outcrop.training.generators.example import Example, Message

Call = tuple[str, dict[str, Any]]


def tool(name: str, description: str, properties: dict[str, str], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """`properties` maps each argument to its JSON type."""
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": [key for key in properties if key not in optional],
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _weather(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    key = random.choice(["city", "city", "city", "location", "place"])
    name = random.choice(["get_weather", "get_weather", "weather", "current_weather", "get_forecast"])
    about = random.choice(
        ["Get the weather", "Get the current weather for a city", "Current weather", "Weather for a place"]
    )
    asks = [
        "What is the weather in {}?",
        "What's the weather like in {}?",
        "How is the weather in {} today?",
        "Is it raining in {}?",
        "Tell me the weather in {}.",
        "Weather in {}?",
        "Will I need an umbrella in {}?",
        "What is the temperature in {}?",
    ]
    place = words.city(random)
    return tool(name, about, {key: "string"}), random.choice(asks).format(place), {key: place}


def _calculate(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    a, b = random.randint(1, 9999), random.randint(1, 999)
    if random.random() < 0.5:
        name, verb, joint = random.choice(
            [("add", "Add", "and"), ("multiply", "Multiply", "by"), ("divide", "Divide", "by")]
        )
        return (
            tool(name, f"{verb} two numbers", {"a": "number", "b": "number"}),
            f"{verb} {a} {joint} {b}.",
            {"a": a, "b": b},
        )
    expression = f"{a} {random.choice('+-*/')} {b}"
    ask = random.choice(["What is {}?", "Calculate {}.", "Please compute {}.", "Use the calculator for {}"])
    made = tool(random.choice(["calculator", "calculate"]), "Evaluate an expression", {"expression": "string"})
    return made, ask.format(expression), {"expression": expression}


def _search(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    query = " ".join(
        random.choice(words.THINGS + words.COLOURS + [words.made_up(random)]) for _ in range(random.randint(1, 3))
    )
    name = random.choice(["search", "web_search", "search_documents", "find"])
    ask = random.choice(["Search for {}.", "Find {}.", "Look up {}.", "Please search {} for me."])
    return (
        tool(name, random.choice(["Search the web", "Search documents"]), {"query": "string"}),
        ask.format(query),
        {"query": query},
    )


def _remind(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    what = random.choice(["call {}", "write to {}", "meet {}", "pay {}", "visit {}"]).format(words.name(random))
    when = f"{random.randint(1, 12)}:{random.choice(['00', '15', '30', '45'])}"
    made = tool(
        random.choice(["set_reminder", "create_reminder"]), "Set a reminder", {"text": "string", "time": "string"}
    )
    return (
        made,
        random.choice(["Remind me to {} at {}.", "Set a reminder to {} at {}."]).format(what, when),
        {"text": what, "time": when},
    )


def _convert(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    source, target = random.sample("USD EUR GBP JPY CHF SEK NOK INR BRL CAD".split(), 2)
    amount = random.randint(1, 5000)
    made = tool("convert_currency", "Convert money", {"amount": "number", "from": "string", "to": "string"})
    ask = random.choice(["Convert {} {} to {}.", "How much is {} {} in {}?", "Change {} {} into {}."])
    return made, ask.format(amount, source, target), {"amount": amount, "from": source, "to": target}


def _mail(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    person, subject = words.name(random), " ".join(random.sample(words.THINGS, random.randint(1, 2)))
    made = tool("send_email", "Send an email", {"to": "string", "subject": "string"})
    ask = random.choice(["Send an email to {} about {}.", "Write {} an email about {}.", "Email {} about {}."])
    return made, ask.format(person, subject), {"to": person, "subject": subject}


def _look_up(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    noun = random.choice("order customer invoice ticket user account flight booking product".split())
    value = words.identifier(random)
    key = random.choice([f"{noun}_id", "id", "number"])
    made = tool(random.choice([f"get_{noun}", f"lookup_{noun}", f"find_{noun}"]), f"Get one {noun}", {key: "string"})
    ask = random.choice(["Show me {n} {v}.", "What is the status of {n} {v}?", "Look up {n} {v}.", "Where is {n} {v}?"])
    return made, ask.format(n=noun, v=value), {key: value}


def _thing(random: Random) -> str:
    return random.choice(words.THINGS)


def _number(random: Random) -> int:
    return random.randint(0, 999)


MAKERS: list[Callable[[Random], str | int]] = [words.name, words.city, words.identifier, _thing, _number]


def _made_up(random: Random) -> tuple[dict[str, Any], str, dict[str, Any]]:
    name = "_".join(words.made_up(random, (1, 2)) for _ in range(random.randint(1, 2)))
    keys = [words.made_up(random, (1, 2)) for _ in range(random.randint(1, 3))]
    arguments: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for key in keys:
        maker = random.choice(MAKERS)
        arguments[key] = value = maker(random)
        kinds[key] = "integer" if isinstance(value, int) else "string"
    stated = " and ".join(random.choice(["{} {}", "{} = {}"]).format(key, value) for key, value in arguments.items())
    ask = random.choice(["Call {} with {}.", "Use {} with {}.", "Run {} with {}.", "Please call {} with {}."])
    about = random.choice(["A function", "Runs a task", f"The {name} tool"])
    return tool(name, about, kinds), ask.format(name, stated), arguments


KINDS: list[Callable[[Random], tuple[dict[str, Any], str, dict[str, Any]]]] = [
    _weather, _weather, _calculate, _search, _remind, _convert, _mail, _look_up, _made_up, _made_up,
]  # fmt: skip
SYSTEMS = [
    "You are a helpful assistant.",
    "You are an assistant with tools.",
    "Use the tools when they help.",
    "Be brief.",
]


def call(random: Random) -> Example:
    """One request that one of one to three tools serves; one in eight is a talk that no tool serves."""
    made, ask, arguments = random.choice(KINDS)(random)
    offered = [made]
    while random.random() < 0.3 and len(offered) < 3:
        other = random.choice(KINDS)(random)[0]
        if other["function"]["name"] not in [t["function"]["name"] for t in offered]:
            offered.append(other)
    random.shuffle(offered)
    before: list[Message] = [{"role": "system", "content": random.choice(SYSTEMS)}] if random.random() < 0.2 else []
    if random.random() < 0.12:
        small = chat.talk(random)
        if small.messages[0]["role"] == "user":
            return Example("tools", [*before, *small.messages], small.expected, small.check, offered)
    wanted = {"name": made["function"]["name"], "arguments": arguments}
    turns: list[Message] = [
        {"role": "user", "content": ask},
        {"role": "assistant", "content": "", "tool_calls": [called(wanted)]},
    ]
    return Example("tools", before + turns, wanted, "tool", offered)


def called(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": wanted["name"], "arguments": wanted["arguments"]}}


def result(random: Random) -> Example:
    """The tool's result is at hand; the answer says it in a sentence."""
    asked = call(random)
    while asked.check != "tool":
        asked = call(random)
    pairs = _fields(random, asked.expected["name"])
    stated = " and the ".join(
        f"{key} is {str(value).lower() if isinstance(value, bool) else value}" for key, value in pairs.items()
    )
    if random.random() < 0.15:
        content, answer = random.choice(["not found", "error: timeout", "no such record", "service unavailable"]), ""
        answer = f"Sorry, that did not work: {content}."
    else:
        content, answer = json.dumps(pairs), f"The {stated}."
    turns: list[Message] = [
        {"role": "tool", "tool_call_id": "call_1", "content": content},
        {"role": "assistant", "content": answer},
    ]
    return Example("tool-results", asked.messages + turns, answer, "exact", asked.tools)


def _fields(random: Random, name: str) -> dict[str, Any]:
    if "weather" in name or "forecast" in name:
        pool = {
            "temperature": random.randint(-10, 38),
            "sky": random.choice(["sunny", "cloudy", "rainy", "clear", "grey"]),
            "wind": random.choice(["weak", "strong", "calm"]),
        }
    elif name in ("add", "multiply", "divide", "calculator", "calculate"):
        pool = {random.choice(["result", "value"]): random.randint(0, 99999)}
    elif name == "convert_currency":
        pool = {random.choice(["amount", "result"]): random.randint(1, 9999), "rate": random.randint(1, 200) / 100}
    else:
        pool = {
            "status": random.choice(["open", "closed", "sent", "paid", "delayed", "done", "ok"]),
            "owner": words.name(random),
            "city": words.city(random),
            "count": random.randint(0, 500),
            "number": words.identifier(random),
        }
    keys = random.sample(list(pool), random.randint(1, min(2, len(pool))))
    return {key: pool[key] for key in keys}
