"""Addition, subtraction and multiplication as word problems in four languages; the answer shows its working."""

from __future__ import annotations

from random import Random

from outcrop.training.generators.example import Example, Message
from outcrop.training.generators.words import FRUITS, NAMES, OBJECTS

# operator -> stories; {n} name, {a} {b} numbers, {t} thing
ENGLISH = {
    "+": [
        "{n} has {a} {t} and buys {b} more. How many {t} does {n} have now?",
        "There are {a} {t} in a box and {b} in another. How many {t} are there in all?",
        "{n} found {a} {t} in the morning and {b} in the evening. How many {t} is that?",
    ],
    "-": [
        "{n} has {a} {t} and gives away {b}. How many {t} are left?",
        "There were {a} {t}. {n} took {b} of them. How many {t} are left?",
        "{n} had {a} {t} and lost {b}. How many {t} does {n} have now?",
    ],
    "*": [
        "{n} has {a} boxes with {b} {t} each. How many {t} does {n} have?",
        "Each of {a} children has {b} {t}. How many {t} are there?",
    ],
}
THINGS_ELSEWHERE = {
    "de": "Bücher Äpfel Karten Bälle Stifte Münzen Tassen Birnen".split(),
    "es": "libros limones lápices plátanos vasos platos regalos globos".split(),
    "fr": "livres stylos citrons ballons cahiers gâteaux jouets timbres".split(),
}
ELSEWHERE = {
    "de": {
        "+": ["{n} hat {a} {t} und kauft {b} dazu. Wie viele {t} hat {n} jetzt?"],
        "-": ["{n} hat {a} {t} und verschenkt {b}. Wie viele {t} bleiben übrig?"],
        "*": ["{n} hat {a} Kisten mit je {b} {t}. Wie viele {t} hat {n}?"],
    },
    "es": {
        "+": ["{n} tiene {a} {t} y compra {b} más. ¿Cuántos {t} tiene ahora {n}?"],
        "-": ["{n} tiene {a} {t} y regala {b}. ¿Cuántos {t} le quedan a {n}?"],
        "*": ["{n} tiene {a} cajas con {b} {t} en cada una. ¿Cuántos {t} tiene {n}?"],
    },
    "fr": {
        "+": ["{n} a {a} {t} et en achète {b} de plus. Combien de {t} {n} a maintenant ?"],
        "-": ["{n} a {a} {t} et en donne {b}. Combien de {t} reste-t-il ?"],
        "*": ["{n} a {a} boîtes avec {b} {t} dans chacune. Combien de {t} {n} a ?"],
    },
}
ANSWERS = {
    "en": "{a} {o} {b} = {r}. The answer is {r}.",
    "de": "{a} {o} {b} = {r}. Die Antwort ist {r}.",
    "es": "{a} {o} {b} = {r}. La respuesta es {r}.",
    "fr": "{a} {o} {b} = {r}. La réponse est {r}.",
}
BARE = ["What is {a} {o} {b}?", "{a} {o} {b} = ?", "Calculate {a} {o} {b}.", "How much is {a} {o} {b}?"]


def numbers(random: Random) -> tuple[int, str, int, int]:
    operator = random.choices("+-*", [5, 5, 2])[0]
    if operator == "*":
        a, b = random.randint(2, 9), random.randint(2, 9)
        return a, operator, b, a * b
    most = 20 if random.random() < 0.6 else 60
    a, b = random.randint(1, most), random.randint(1, most)
    if operator == "-":
        a, b = max(a, b), min(a, b)
        return a, operator, b, a - b
    return a, operator, b, a + b


def story(random: Random) -> Example:
    a, operator, b, result = numbers(random)
    language = random.choices(["en", "bare", "de", "es", "fr"], [4, 3, 2, 2, 2])[0]
    if language == "bare":
        question = random.choice(BARE).format(a=a, o=operator, b=b)
    else:
        stories = ENGLISH if language == "en" else ELSEWHERE[language]
        things = random.choice([FRUITS, OBJECTS]) if language == "en" else THINGS_ELSEWHERE[language]
        question = random.choice(stories[operator]).format(n=random.choice(NAMES), a=a, b=b, t=random.choice(things))
    answer = ANSWERS["en" if language == "bare" else language].format(a=a, o=operator, b=b, r=result)
    turns: list[Message] = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Example("arithmetic", turns, [f" {result}."], "contains")
