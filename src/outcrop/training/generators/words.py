"""Vocabulary of the generators: lists of common words, and made-up ones so that names must be copied, not remembered."""

from __future__ import annotations

from random import Random

NAMES = (
    "Maria Anna Peter John Lena Omar Sofia Liam Emma Noah Olivia Ava Lucas Mia Leo Ella Max Nora Paul Clara Ivan Yuki Wei Aisha "
    "Carlos Elena Hugo Ines Jack Kate Laura Marco Nina Oscar Priya Ravi Sara Tom Uma Vera Will Zoe Adam Bella Chris Diana Eric "
    "Fiona George Hannah Ian Julia Kevin Linda Martin Nadia Otto Petra Quinn Rosa Simon Tara Victor Wanda Xavier Yara Alice Bob "
    "David Eva Frank Grace Henry Iris James Karen Luis Mona Nick Olga Pia Rita Sam Tina Ana Ben Cora Dan Ed Fred Gina Hans"
).split()
SURNAMES = (
    "Smith Garcia Miller Brown Rossi Silva Novak Kim Lee Chen Patel Khan Meyer Weber Fischer Lopez Santos Moreau Dubois Larsen "
    "Jensen Kowalski Ivanov Tanaka Sato Singh Ali Hansen Berg Costa Young Hill Green King Wright Baker Clark Lewis Walker Hall"
).split()
CITIES = (
    "Paris London Berlin Madrid Rome Tokyo Oslo Vienna Lisbon Dublin Prague Warsaw Athens Cairo Delhi Mumbai Seoul Sydney Toronto "
    "Chicago Boston Seattle Denver Austin Miami Lima Bogota Santiago Nairobi Lagos Zurich Geneva Milan Naples Porto Seville "
    "Hamburg Munich Cologne Lyon Nice Bergen Helsinki Stockholm Copenhagen Brussels Amsterdam Budapest Istanbul Dubai Singapore"
).split()
COUNTRIES = "France Spain Italy Japan Norway Austria Portugal Ireland Poland Greece Egypt India Canada Brazil Peru Kenya Chile".split()
FRUITS = "apples pears plums oranges bananas cherries grapes lemons peaches mangoes".split()
OBJECTS = (
    "books pens coins stamps cards balls marbles stickers cups plates shells stones keys toys candles buttons".split()
)
THINGS = (
    "apple pear plum orange banana bread milk cheese butter rice tea coffee sugar salt soap paper pencil lamp chair table "
    "book bottle window garden river mountain train bicycle camera guitar piano violin tiger rabbit horse eagle dolphin"
).split()
COLOURS = "red blue green yellow black white orange purple pink brown grey silver".split()
ANIMALS = "dog cat rabbit horse parrot hamster turtle fish".split()
JOBS = "teacher doctor nurse engineer baker lawyer pilot painter farmer driver writer designer chemist plumber".split()
COMPANIES = (
    "Acme Globex Initech Umbra Northwind Contoso Fabrikam Stark Wayne Hooli Vandelay Soylent Cyberdyne Tyrell".split()
)
_ONSETS = "b br c ch d dr f g gr h j k kl l m n p pl r s st t tr v w z".split()
_VOWELS = "a e i o u ai ea io".split()
_ENDS = ["", "", "n", "r", "s", "l", "m", "t", "x", "ng"]


def made_up(random: Random, syllables: tuple[int, int] = (2, 3)) -> str:
    parts = [random.choice(_ONSETS) + random.choice(_VOWELS) for _ in range(random.randint(*syllables))]
    return "".join(parts) + random.choice(_ENDS)


def name(random: Random) -> str:
    return random.choice(NAMES) if random.random() < 0.6 else made_up(random).capitalize()


def full_name(random: Random) -> str:
    surname = random.choice(SURNAMES) if random.random() < 0.6 else made_up(random).capitalize()
    return f"{name(random)} {surname}"


def city(random: Random) -> str:
    return random.choice(CITIES) if random.random() < 0.65 else made_up(random).capitalize()


def identifier(random: Random) -> str:
    """A code such as `KX-4821` or `u83k2`: nothing but copying helps."""
    letters = "".join(random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(random.randint(1, 3)))
    digits = "".join(random.choice("0123456789") for _ in range(random.randint(2, 5)))
    return random.choice([f"{letters}-{digits}", f"{letters}{digits}", f"{digits}", f"{letters.lower()}{digits}"])
