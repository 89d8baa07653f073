"""Small Python functions. The reference is checked by running it, and so is a model's answer."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, Message

# (what the function does, its body as an expression over its arguments, arguments, tests as (call, value))
TASKS: list[tuple[str, str, str, list[tuple[str, object]]]] = [
    ("returns the square of a number", "x * x", "x", [("3", 9), ("-2", 4)]),
    ("returns the cube of a number", "x * x * x", "x", [("3", 27), ("-2", -8)]),
    ("doubles a number", "x * 2", "x", [("4", 8), ("0", 0)]),
    ("halves a number", "x / 2", "x", [("4", 2.0), ("3", 1.5)]),
    ("adds two numbers", "a + b", "a, b", [("2, 3", 5), ("-1, 1", 0)]),
    ("subtracts two numbers", "a - b", "a, b", [("2, 3", -1), ("5, 1", 4)]),
    ("multiplies two numbers", "a * b", "a, b", [("2, 3", 6), ("-1, 4", -4)]),
    ("returns the larger of two numbers", "a if a > b else b", "a, b", [("2, 3", 3), ("5, 1", 5)]),
    ("returns the smaller of two numbers", "a if a < b else b", "a, b", [("2, 3", 2), ("5, 1", 1)]),
    ("returns the average of two numbers", "(a + b) / 2", "a, b", [("2, 4", 3.0), ("0, 1", 0.5)]),
    ("checks whether a number is even", "x % 2 == 0", "x", [("4", True), ("3", False)]),
    ("checks whether a number is odd", "x % 2 == 1", "x", [("4", False), ("3", True)]),
    ("checks whether a number is positive", "x > 0", "x", [("4", True), ("-3", False)]),
    ("checks whether a number is negative", "x < 0", "x", [("4", False), ("-3", True)]),
    ("reverses a string", "text[::-1]", "text", [("'abc'", "cba"), ("''", "")]),
    ("returns the length of a string", "len(text)", "text", [("'abc'", 3), ("''", 0)]),
    ("converts a string to upper case", "text.upper()", "text", [("'aBc'", "ABC")]),
    ("converts a string to lower case", "text.lower()", "text", [("'aBc'", "abc")]),
    ("checks whether a string is a palindrome", "text == text[::-1]", "text", [("'abba'", True), ("'ab'", False)]),
    ("counts the words in a string", "len(text.split())", "text", [("'a b c'", 3)]),
    ("returns the first character of a string", "text[0]", "text", [("'abc'", "a")]),
    ("returns the last character of a string", "text[-1]", "text", [("'abc'", "c")]),
    ("repeats a string n times", "text * n", "text, n", [("'ab', 2", "abab")]),
    ("joins a list of strings with commas", "','.join(items)", "items", [("['a', 'b']", "a,b")]),
    ("returns the sum of a list", "sum(items)", "items", [("[1, 2, 3]", 6), ("[]", 0)]),
    ("returns the largest item of a list", "max(items)", "items", [("[1, 3, 2]", 3)]),
    ("returns the smallest item of a list", "min(items)", "items", [("[2, 1, 3]", 1)]),
    ("returns the length of a list", "len(items)", "items", [("[1, 3]", 2)]),
    ("sorts a list", "sorted(items)", "items", [("[3, 1]", [1, 3])]),
    ("reverses a list", "items[::-1]", "items", [("[3, 1]", [1, 3])]),
    ("returns the first item of a list", "items[0]", "items", [("[3, 1]", 3)]),
    ("returns the last item of a list", "items[-1]", "items", [("[3, 1]", 1)]),
    ("returns the average of a list", "sum(items) / len(items)", "items", [("[1, 3]", 2.0)]),
    ("removes duplicates from a list", "list(dict.fromkeys(items))", "items", [("[1, 1, 2]", [1, 2])]),
    ("returns the even numbers of a list", "[x for x in items if x % 2 == 0]", "items", [("[1, 2, 4]", [2, 4])]),
    ("returns the squares of a list of numbers", "[x * x for x in items]", "items", [("[1, 2]", [1, 4])]),
    ("converts Celsius to Fahrenheit", "c * 9 / 5 + 32", "c", [("100", 212.0), ("0", 32.0)]),
    ("converts Fahrenheit to Celsius", "(f - 32) * 5 / 9", "f", [("212", 100.0), ("32", 0.0)]),
    ("returns the area of a rectangle", "width * height", "width, height", [("2, 3", 6)]),
    ("returns the absolute value of a number", "abs(x)", "x", [("-2", 2), ("3", 3)]),
    ("returns the remainder of two numbers", "a % b", "a, b", [("7, 3", 1)]),
    ("raises a number to a power", "a ** b", "a, b", [("2, 3", 8)]),
]
NAMES = (
    "f solve compute run answer result go check make work helper process apply value calc task main_step fn g h".split()
)
ASKS = [
    "Write a Python function that {d}.",
    "Write a Python function {n} that {d}.",
    "Write a function {n} that {d}.",
    "Python function {n}: {d}.",
    "Define a Python function named {n} that {d}.",
]
NAMED = ASKS[1:]


def function(random: Random) -> Example:
    does, body, arguments, tests = random.choice(TASKS)
    named = random.random() < 0.8
    name = (
        random.choice(NAMES)
        if random.random() < 0.6
        else f"{random.choice(NAMES)}_{random.choice('abcdefghij')}{random.randint(0, 99)}"
    )
    ask = random.choice(NAMED).format(n=name, d=does) if named else ASKS[0].format(d=does)
    used = name if named else "f"
    answer = f"def {used}({arguments}):\n    return {body}"
    test = "\n".join(f"assert {used}({given}) == {value!r}" for given, value in tests)
    if not named:
        # Any name will do where none was asked for.
        test = f"import types\n{used} = [v for v in list(globals().values()) if isinstance(v, types.FunctionType)][-1]\n{test}"
    turns: list[Message] = [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
    return Example("code", turns, test, "python")
