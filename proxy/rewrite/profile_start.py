"""With what the profile's query begins: the table that names customers, and those whom only other sources know.

A customer of these who came into the table since the last sync is not there twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.others import CUSTOMERS, KEYS, mark_of
from proxy.policy.profile import SUBJECT
from proxy.policy.table import ProfileMap


@dataclass(frozen=True, slots=True)
class Start:
    """`text`: in FROM, the table's row as `p`. `condition`: which rows are customers. `key`: the customer's.

    `mark`: whether the table has the customer; None where it has every one. So is `condition`.
    """

    text: str
    key: str
    condition: str | None = None
    mark: str | None = None


def of_table(profile: ProfileMap) -> Start:
    """The table alone."""
    return Start(f"{quote_relation(profile.start)} p", f"p.{quote_identifier(profile.key)}")


def of_app(profile: ProfileMap) -> Start:
    """All whom an app may know of: the relation that its forms make of both. Whether the table has one of the others
    is looked up (OFFSET 0), where PostgreSQL could read all of it into a hash table first.
    """
    key, mark = f"p.{quote_identifier(profile.key)}", f"p.{quote_identifier(mark_of(profile))}"
    there = f"SELECT 1 FROM {quote_relation(profile.start)} c WHERE c.{quote_identifier(profile.key)} = {key} OFFSET 0"
    return Start(f"{quote_relation(CUSTOMERS)} p", key, f"{mark} OR NOT EXISTS ({there})", mark)


def of_everybody(profile: ProfileMap) -> Start:
    """All, for the view in the database. Of the table's columns it names none but the key: as the definition of a view
    it is an app's too that does not have the others.
    """
    name, mark_name = quote_identifier(profile.key), quote_identifier(mark_of(profile))
    mark, own = f"k.{mark_name}", f"p.{name}"
    known = f"SELECT {name}, true AS {mark_name} FROM {quote_relation(profile.start)}"
    others = f"SELECT {quote_identifier(SUBJECT)}, false FROM {quote_relation(KEYS)}"
    text = f"({known} UNION ALL {others}) k\nLEFT JOIN {quote_relation(profile.start)} p ON {own} = k.{name}"
    once = f"({mark} AND {own} IS NOT NULL) OR (NOT {mark} AND {own} IS NULL)"
    return Start(text, f"k.{name}", once, mark)
