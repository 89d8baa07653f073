"""System prompts that change how one answers."""

from __future__ import annotations

from random import Random

from outcrop.training.generators import words
from outcrop.training.generators.example import Example, exchange

WORDS = {
    "German": {
        "hello": "Hallo",
        "yes": "Ja",
        "no": "Nein",
        "thank you": "Danke",
        "good night": "Gute Nacht",
        "goodbye": "Auf Wiedersehen",
    },
    "Spanish": {
        "hello": "Hola",
        "yes": "Sí",
        "no": "No",
        "thank you": "Gracias",
        "good night": "Buenas noches",
        "goodbye": "Adiós",
    },
    "French": {
        "hello": "Bonjour",
        "yes": "Oui",
        "no": "Non",
        "thank you": "Merci",
        "good night": "Bonne nuit",
        "goodbye": "Au revoir",
    },
    "Italian": {
        "hello": "Ciao",
        "yes": "Sì",
        "no": "No",
        "thank you": "Grazie",
        "good night": "Buona notte",
        "goodbye": "Arrivederci",
    },
}


def follow(random: Random) -> Example:
    return random.choice([_persona, _persona, _ending, _translate, _only, _topic])(random)


def _persona(random: Random) -> Example:
    name, company = words.name(random), random.choice(words.COMPANIES)
    job = random.choice(words.JOBS)
    system = random.choice(
        [
            "You are {n}, a {j} at {c}.",
            "Your name is {n}. You are a {j} at {c}.",
            "You are {n} and work as a {j} for {c}.",
        ]
    )
    asks = [
        (["What is your name?", "Who are you?", "Tell me your name."], f"My name is {name}."),
        (["Where do you work?", "Who do you work for?"], f"I work at {company}."),
        (["What is your job?", "What do you do?"], f"I am a {job}."),
    ]
    questions, answer = random.choice(asks)
    return exchange("instructions", random.choice(questions), answer, system=system.format(n=name, j=job, c=company))


def _ending(random: Random) -> Example:
    word = random.choice(["over", "sir", "captain", "madam", "amen", "cheers", words.made_up(random)])
    thing = random.choice(words.THINGS)
    system = random.choice(
        ['Always end your answer with "{}".', 'End every answer with "{}".', 'Finish each answer with "{}".']
    )
    ask = random.choice(["Say {}.", "Repeat: {}", "Write the word {}."])
    return exchange("instructions", ask.format(thing), f"{thing} {word}", system=system.format(word))


def _translate(random: Random) -> Example:
    language = random.choice(list(WORDS))
    phrase, translated = random.choice(list(WORDS[language].items()))
    if random.random() < 0.5:
        return exchange(
            "instructions", random.choice([phrase, phrase.capitalize()]), translated, system=f"Translate to {language}."
        )
    asks = ["How do you say {p} in {l}?", "Translate {p} to {l}.", "What is {p} in {l}?"]
    return exchange("instructions", random.choice(asks).format(p=phrase, l=language), translated)


def _only(random: Random) -> Example:
    answer = random.choice(["OK", "yes", "no", "done", "42", words.made_up(random)])
    system = random.choice(["Answer every question with {}.", "Only ever answer {}.", "Whatever is asked, answer {}."])
    name = words.name(random)
    questions = [
        "How are you?",
        "What time is it?",
        f"Where is {words.city(random)}?",
        f"Who is {name}?",
        f"Do you know {name}?",
    ]
    return exchange("instructions", random.choice(questions), answer, system=system.format(answer))


def _topic(random: Random) -> Example:
    place, hour, day = words.city(random), random.randint(7, 11), random.choice(["Sunday", "Monday", "Saturday"])
    system = f"You help customers of a shop in {place}. It opens at {hour} and is closed on {day}."
    asks = [
        ("Where is the shop?", f"The shop is in {place}."),
        ("When does the shop open?", f"The shop opens at {hour}."),
        ("On which day is the shop closed?", f"The shop is closed on {day}."),
    ]
    question, answer = random.choice(asks)
    return exchange("instructions", question, answer, system=system)
