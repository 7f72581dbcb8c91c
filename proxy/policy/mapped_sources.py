"""What the rules say of other sources, as sync and profile read it; and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.policy.rules import Path, Rules
from proxy.policy.sources import TYPES, FieldEntry, FieldRule, Flag, Source
from proxy.yaml_lines import Problem, nearest

DEFAULT: Final = "default"  # in `conflicts`: what holds for attributes that are not named there
_RESERVED: Final = "subject"  # the key's own column in consentry.profile_data


@dataclass(frozen=True, slots=True)
class Kept:
    """A column of consentry.profile_data. `type`: as PostgreSQL names it; `search`: a configuration, where indexed."""

    attribute: str
    type: str
    search: str | None = None
    listed: bool = False


def kept(rules: Rules) -> Mapping[str, Kept]:
    """What consentry.profile_data has beside the subject: one column for each attribute that a source maps."""
    columns: dict[str, Kept] = {}
    for source in rules.sources.values():
        for rule in source.fields.values():
            entry = entry_of(rule)
            search = entry.search or (columns[entry.attribute].search if entry.attribute in columns else None)
            columns[entry.attribute] = Kept(entry.attribute, TYPES[entry.type], search)
        for attribute, listed in source.lists.items():
            search = listed.search or (columns[attribute].search if attribute in columns else None)
            columns[attribute] = Kept(attribute, "jsonb", search, listed=True)
    return dict(sorted(columns.items()))


def entry_of(rule: FieldRule) -> FieldEntry:
    """A field's rule, in the long way of writing."""
    return rule if isinstance(rule, FieldEntry) else FieldEntry(attribute=rule)


def key_of(source: Source) -> str:
    """The field that names a record."""
    key = source.key or source.subject
    assert key is not None, "check_sources says so"
    return key


def fields_of(source: Source) -> tuple[str, ...]:
    """All fields that are read of the source."""
    named = [key_of(source), source.subject, source.cursor, *source.fields]
    named += [name for listed in source.lists.values() for name in (*listed.fields, listed.order_by)]
    named += [source.match.email, source.match.phone] if source.match else []
    named += [source.deletes.flag] if isinstance(source.deletes, Flag) else []
    return tuple(dict.fromkeys(name for name in named if name is not None))


def precedence(rules: Rules, attribute: str) -> tuple[str, ...] | None:
    """The sources of an attribute, the one whose word counts first; None: what was read last counts."""
    rule = rules.conflicts.get(attribute, rules.conflicts.get(DEFAULT, ()))
    if rule == "newest":
        return None
    return (*rule, *sorted(set(rules.sources) - set(rule)))


def check_sources(rules: Rules) -> Iterator[Problem]:
    """What is wrong with `sources` and `conflicts`."""
    shapes: dict[str, tuple[str, str]] = {}
    for name, source in rules.sources.items():
        at: Path = ("sources", name)
        yield from _naming(rules, at, source)
        yield from _mapping(rules, at, source, shapes)
    for attribute, order in rules.conflicts.items():
        at = ("conflicts", attribute)
        if attribute != DEFAULT and attribute not in shapes:
            hint = nearest(attribute, [*shapes, DEFAULT]) or "; no source maps it"
            yield rules.problem(at, f'conflicts: "{attribute}" comes from no source{hint}', key=True)
        for number, name in enumerate(order if not isinstance(order, str) else ()):
            if not rules.declares("sources", name):
                hint = nearest(name, rules.sources)
                yield rules.problem((*at, number), f'{attribute}: "{name}" is not a source{hint}')
            elif name in order[:number]:
                yield rules.problem((*at, number), f"{attribute}: {name} stands here twice")


def _naming(rules: Rules, at: Path, source: Source) -> Iterator[Problem]:
    """How records name their customer and themselves."""
    name = at[-1]
    if (source.subject is None) == (source.match is None):
        why = "both" if source.match else "neither"
        message = f"{name}: a record names its customer by `subject: field` or by `match`: this has {why}"
        yield rules.problem(at, message, key=True)
    if source.match is not None:
        if source.match.email is None and source.match.phone is None:
            yield rules.problem(
                (*at, "match"), "match: `email` or `phone` is missing: the field that holds it", key=True
            )
        for kind in ("email", "phone"):
            field = getattr(source.match, kind)
            if field is not None and field not in source.fields:
                message = f"{kind}: {field} is not in `fields`, which says what attribute it is"
                yield rules.problem((*at, "match", kind), message + nearest(field, source.fields))
        yield from _likely(rules, (*at, "match", "likely"), source)
    if source.key is None and (source.subject is None or source.lists):
        message = f"{name}: `key` is missing: the field that names a record, so that it is known again"
        yield rules.problem(at, message, key=True)
    if not source.fields and not source.lists:
        yield rules.problem(at, f"{name}: `fields` is missing: what the source knows of customers", key=True)


def _likely(rules: Rules, at: Path, source: Source) -> Iterator[Problem]:
    match = source.match
    if match is None or match.likely is None:
        return
    mapped = [entry_of(rule).attribute for rule in source.fields.values()]
    for number, attribute in enumerate(match.likely.by):
        if attribute not in mapped:
            message = f"by: no field of the source is {attribute}{nearest(attribute, mapped)}"
            yield rules.problem((*at, "by", number), message)
    if match.unmatched == "new":
        message = "likely: nobody waits to be compared where `unmatched: new` makes a customer of everybody"
        yield rules.problem(at, message, key=True)


def _mapping(rules: Rules, at: Path, source: Source, shapes: dict[str, tuple[str, str]]) -> Iterator[Problem]:
    """Attributes: defined, from one field a source, of one type in all sources (`shapes`: type and place so far)."""
    here: dict[str, str] = {}
    for field, rule in source.fields.items():
        path = (*at, "fields", field)
        entry = entry_of(rule)
        yield from _attribute(rules, path, entry.attribute)
        if entry.attribute in here:
            message = f"{entry.attribute} is {here[entry.attribute]} already: a customer has one value from a record"
            yield rules.problem(path, message)
        here[entry.attribute] = field
        yield from _shape(rules, path, entry.attribute, entry.type, shapes)
        if entry.search and entry.type not in ("text", "json"):
            yield rules.problem(path, f"search: a {entry.type} has no words to search for")
    for attribute, listed in source.lists.items():
        path = (*at, "lists", attribute)
        yield from _attribute(rules, path, attribute)
        if attribute in here:
            yield rules.problem(path, f"{attribute} is {here[attribute]} already", key=True)
        here[attribute] = "a list"
        yield from _shape(rules, path, attribute, "list", shapes)
        if listed.order_by is not None and listed.order_by not in listed.fields:
            hint = nearest(listed.order_by, listed.fields)
            yield rules.problem((*path, "order_by"), f"order_by: {listed.order_by} is not one of `fields`{hint}")


def _attribute(rules: Rules, path: Path, name: str) -> Iterator[Problem]:
    if not rules.declares("attributes", name):
        yield rules.problem(path, f'attribute "{name}" is not defined{nearest(name, rules.attributes)}')
    elif name == _RESERVED:
        yield rules.problem(
            path, f"\"{name}\" is the profile's column of the customer's key: name the attribute otherwise"
        )


def _shape(
    rules: Rules, path: Path, attribute: str, kind: str, shapes: dict[str, tuple[str, str]]
) -> Iterator[Problem]:
    first, place = shapes.setdefault(attribute, (kind, "{}:{}".format(*rules.where(path))))
    if first != kind:
        yield rules.problem(path, f"{attribute} is a {kind} here and a {first} at {place}: one attribute has one type")
