"""What was said some turns ago."""

from __future__ import annotations

from random import Random

from outcrop.training.generators import arithmetic, chat, copying, words
from outcrop.training.generators.example import Example, Message

FACTS = [
    ("My name is {}.", words.name, ["What is my name?", "Do you remember my name?", "Who am I?"], "Your name is {}.", "Nice to meet you, {}."),
    ("I live in {}.", words.city, ["Where do I live?", "Which city do I live in?"], "You live in {}.", "{} is a nice place."),
    ("My favourite colour is {}.", lambda r: r.choice(words.COLOURS), ["What is my favourite colour?"], "Your favourite colour is {}.", "{} is a fine colour."),
    ("My dog is called {}.", words.name, ["What is my dog called?", "What is the name of my dog?"], "Your dog is called {}.", "{} is a good name for a dog."),
    ("My number is {}.", words.identifier, ["What is my number?", "Tell me my number."], "Your number is {}.", "I will remember the number {}."),
    ("I work as a {}.", lambda r: r.choice(words.JOBS), ["What is my job?", "What do I work as?"], "You work as a {}.", "A {} has much to do."),
    ("The password is {}.", words.made_up, ["What is the password?"], "The password is {}.", "I will remember it."),
    ("I like {}.", lambda r: r.choice(words.FRUITS), ["What do I like?"], "You like {}.", "{} are good."),
]  # fmt: skip


def remember(random: Random) -> Example:
    told = random.sample(FACTS, random.randint(1, 2))
    turns: list[Message] = []
    answers: list[tuple[list[str], str]] = []
    for statement, maker, questions, answer, reply in told:
        value = maker(random)
        turns.append({"role": "user", "content": statement.format(value)})
        turns.append({"role": "assistant", "content": reply.format(value)})
        answers.append((questions, answer.format(value)))
    if random.random() < 0.4:
        between = random.choice([chat.talk, arithmetic.story, copying.repeat])(random)
        if between.messages[0]["role"] == "user":
            turns += between.messages
    questions, answer = random.choice(answers)
    turns += [{"role": "user", "content": random.choice(questions)}, {"role": "assistant", "content": answer}]
    return Example("recall", turns, answer, "exact")
