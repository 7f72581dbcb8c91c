"""How well records find their customer: exact matching of addresses and numbers beside probable matching of the whole.

`python -m benchmarks.matching [--customers 20000]`: a generated set whose truth is known. Of the records a third has
the customer's address, a third another one, a third none; names have slips of the pen, one in five is nobody's, and one
customer in twenty is another's twin: of one name but the first, one birth date, one city.
"""

from __future__ import annotations

import argparse
import random
from time import perf_counter

from benchmarks import _report
from proxy.profile import identity
from proxy.profile.likely import LEAST, Values, likely

FIRST = (
    "Ada Bob Cem Dora Emil Fay Guel Hans Ines Jan Kai Lea Max Nina Olaf Pia Quin Rosa Sven Tina Ulf Vera Wim Xenia "
    "Yves Zoe Anton Berta Clara David Elena Felix Greta Henri Isa Jonas Klara Luis Marta Nils"
).split()
ROOTS = (
    "Ander Bauer Chris Dietz Eber Fried Gruen Hof Iller Jaeg Koeh Linden Mueh Nord Oster Peter Richt Schul Tann Wald"
).split()
ENDS = "mann er sen feld berg stein hardt lein wald hoff".split()
PLACES = ("dorf", "stadt", "heim", "bach", "au", "tal")
CITIES = [f"{a}{b}" for a in ("Ober", "Unter", "Neu", "Alt", "Bad ") for b in PLACES]


def slip(chosen: random.Random, text: str) -> str:
    """One slip of the pen: a letter left out, doubled, or two that changed places."""
    at = chosen.randrange(1, max(2, len(text) - 1))
    swapped = text[: at - 1] + text[at - 1 : at + 1][::-1] + text[at + 1 :]
    return chosen.choice((text[:at] + text[at + 1 :], text[: at + 1] + text[at:], swapped))


def person(chosen: random.Random, number: int) -> dict[str, str | None]:
    first, last = chosen.choice(FIRST), chosen.choice(ROOTS) + chosen.choice(ENDS)
    return {
        "full_name": f"{first} {last}",
        "email": f"{first}.{last}{number}@example.org".lower(),
        "birth_date": f"{chosen.randrange(1940, 2006)}-{chosen.randrange(1, 13):02d}-{chosen.randrange(1, 29):02d}",
        "city": chosen.choice(CITIES),
    }


def generate(customers: int) -> tuple[dict[str, Values], dict[str, Values], dict[str, str | None]]:
    """Customers, records, and whose each record is."""
    chosen = random.Random(11)
    known: dict[str, Values] = {}
    for number in range(customers):
        one = person(chosen, number)
        if number % 20 == 1:  # a twin
            other = known[str(number - 1)]
            first, last = chosen.choice(FIRST), (other["full_name"] or "").split()[1]
            one |= {"full_name": f"{first} {last}", "birth_date": other["birth_date"], "city": other["city"]}
        known[str(number)] = one
    records: dict[str, Values] = {}
    truth: dict[str, str | None] = {}
    for number in range(customers // 2):
        key = f"r{number}"
        truth[key] = None if chosen.random() < 0.2 else str(chosen.randrange(customers))
        one = dict(known[truth[key]] if truth[key] is not None else person(chosen, customers + number))  # type: ignore[index]
        kind = chosen.randrange(3)
        if kind == 1:
            one["email"] = f"{chosen.randrange(10**9)}@other.example"
        elif kind == 2:
            one["email"] = None
        if chosen.random() < 0.3:
            one["full_name"] = slip(chosen, one["full_name"] or "")
        if chosen.random() < 0.1:
            one["birth_date"] = None
        if chosen.random() < 0.15:
            one["city"] = chosen.choice(CITIES)
        records[key] = one
    return known, records, truth


def exact(records: dict[str, Values], customers: dict[str, Values]) -> dict[str, str]:
    """By address alone, as a sync does."""
    owners: dict[str, str] = {}
    for subject, values in customers.items():
        owners[identity.email(values["email"] or "") or ""] = subject
    found = {key: owners.get(identity.email(values["email"] or "") or "-") for key, values in records.items()}
    return {key: subject for key, subject in found.items() if subject is not None}


def score(found: dict[str, str], truth: dict[str, str | None]) -> str:
    right = sum(truth[key] == subject for key, subject in found.items())
    theirs = sum(subject is not None for subject in truth.values())
    return f"{right / len(found):.4f} | {right / theirs:.4f} | {len(found) - right:,}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching")
    parser.add_argument("--customers", type=int, default=20_000)
    options = parser.parse_args()
    customers, records, truth = generate(options.customers)
    first = exact(records, customers)
    rest = {key: values for key, values in records.items() if key not in first}
    begin = perf_counter()
    pairs = likely(rest, customers, ["full_name", "birth_date", "city"])
    taken = perf_counter() - begin
    lines = [f"| exact: address | {score(first, truth)} |"]
    for threshold in (0.999, 0.99, 0.95, 0.9, LEAST):
        best: dict[str, str] = dict(first)
        above: dict[str, list[str]] = {}
        for pair in pairs:
            if pair.probability >= threshold:
                above.setdefault(pair.record, []).append(pair.customer)
        best |= {record: subjects[0] for record, subjects in above.items() if len(subjects) == 1}
        lines.append(f"| exact, then probable from {threshold} on, where one alone is | {score(best, truth)} |")
    theirs = sum(one is not None for one in truth.values())
    head = (
        f"`python -m benchmarks.matching --customers {options.customers}`: {len(records):,} records made, of which "
        f"{theirs:,} are a customer's; of the others none may be matched. One customer in twenty has a twin. Exact is "
        f"by address; probable by name, date of birth and city, with splink, in {taken:.0f} s."
    )
    table = ["| matching | precision | recall | wrong |", "|---|---|---|---|", *lines]
    _report.write("Matching records with customers", "\n".join([head, "", *table]))


if __name__ == "__main__":
    main()
