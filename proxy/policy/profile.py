"""The unified profile: what is wrong with `profile:` in the rules, and which column of which table each attribute is.

A table is the profile's where its `subject` leads to the profile's. It is 1:1 where every column on the way is unique:
then its attributes are columns of the profile; the others have to be listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from proxy.catalog.model import Relation, Snapshot
from proxy.policy.mapped_sources import kept
from proxy.policy.model import Profile, ProfileList, ProfileObject, Table
from proxy.policy.names import join_dotted, split_column, split_relation
from proxy.policy.preferences import OWN_SCHEMA, PREFERENCES
from proxy.policy.references import attribute_of, governed_tables
from proxy.policy.rules import Path, Rules
from proxy.policy.table import Hop, ProfileColumn, ProfileMap, Subject
from proxy.yaml_lines import Problem, nearest

SUBJECT = "subject"  # the profile's first column: the key itself
SOURCES = "sources"  # in `columns`: what other sources say
DATA = (OWN_SCHEMA, "profile_data")  # where that is kept: a column an attribute
_SECURITY_INVOKER = 150000
# Types of which PostgreSQL makes one of its own accord, or that are read as text.
_FAMILIES = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
}
_TIMES = ("timestamptz", "timestamp", "date")
Key = tuple[str, str]


# -- without the database -------------------------------------------------------------------------------------------


def check_profile(rules: Rules) -> Iterator[Problem]:
    """What is wrong with the profile that can be told without the database."""
    profile = rules.profile
    if profile is None:
        return
    yield from _subject(rules, profile)
    if split_relation(profile.relation) in {split_relation(text) for text in rules.tables}:
        message = f"relation: {profile.relation} stands under `tables`; the profile is governed by what it reads"
        yield rules.problem(("profile", "relation"), message)
    seen: dict[str, str] = {}
    for section, names in (
        ("columns", list(profile.columns)),
        ("lists", list(profile.lists)),
        ("except_attributes", profile.except_attributes or []),
    ):
        for number, name in enumerate(names):
            at: Path = ("profile", section, number if section == "except_attributes" else name)
            if not rules.declares("attributes", name):
                hint = nearest(name, rules.attributes)
                message = f'{section}: attribute "{name}" is not defined{hint}'
                yield rules.problem(at, message, key=section != "except_attributes")
            first = seen.setdefault(name, section)
            if first != section:
                yield rules.problem(at, f"{name} stands under `{first}` already: write it once", key=True)
    if SUBJECT in rules.attributes and SUBJECT not in (profile.except_attributes or ()):
        message = f"the profile's first column is \"{SUBJECT}\", the customer's key: name the attribute otherwise"
        yield rules.problem(("attributes", SUBJECT), message, key=True)
    for name, choice in profile.columns.items():
        at = ("profile", "columns", name)
        if isinstance(choice, ProfileObject):
            yield from _fields(rules, at, name, choice)
        else:
            for number, text in enumerate([choice] if isinstance(choice, str) else choice):
                yield from _column(rules, at if isinstance(choice, str) else (*at, number), name, text)
    for name, listed in profile.lists.items():
        yield from _fields(rules, ("profile", "lists", name), name, listed)
        yield from _told(rules, name, listed)


def _subject(rules: Rules, profile: Profile) -> Iterator[Problem]:
    schema, name, column = split_column(profile.subject)
    governed = governed_tables(rules)
    path: Path = ("profile", "subject")
    table = governed.get((schema, name))
    if table is None:
        yield _unknown(rules, path, "table with columns", join_dotted(schema, name), [t for t, _ in governed.values()])
    elif isinstance(table[1].subject, str) and table[1].subject not in table[1].columns:
        pass  # it is wrong or not listed: `map_profile` tells
    elif table[1].subject != column:
        said = f"{column} of {table[0]}: the profile begins where a table's own `subject` is"
        own = table[1].subject if isinstance(table[1].subject, str) else None
        hint = f" (did you mean {join_dotted(schema, name, own)}?)" if own is not None else ""
        yield rules.problem(path, f"subject: {said}{hint}")


def _column(rules: Rules, at: Path, attribute: str, text: str) -> Iterator[Problem]:
    """A column that an attribute is to be read from: `schema.table.column`, or `sources`."""
    if text == SOURCES:
        if attribute not in kept(rules):
            yield rules.problem(at, f"{attribute}: no source maps it")
        return
    try:
        schema, name, column = split_column(text)
    except ValueError as error:
        yield rules.problem(at, str(error))
        return
    governed = governed_tables(rules)
    if (schema, name) not in governed:
        yield _unknown(rules, at, "table with columns", join_dotted(schema, name), [t for t, _ in governed.values()])
        return
    yield from _governed(rules, at, attribute, governed[schema, name], column, also_open=False)


def _fields(rules: Rules, at: Path, attribute: str, listed: ProfileObject | ProfileList) -> Iterator[Problem]:
    """A table and columns of it: of the attribute, or open."""
    governed = governed_tables(rules)
    found = governed.get(split_relation(listed.table))
    if found is None:
        yield _unknown(rules, (*at, "from"), "table with columns", listed.table, [t for t, _ in governed.values()])
        return
    if found[1].subject is None:
        message = f"from: {found[0]} has no `subject`: nothing says which customer a row is of"
        yield rules.problem((*at, "from"), message)
    for number, column in enumerate(listed.columns):
        yield from _governed(rules, (*at, "columns", number), attribute, found, column, also_open=True)
        if column in listed.columns[:number]:
            yield rules.problem((*at, "columns", number), f"{column} stands here twice")
    if isinstance(listed, ProfileList) and listed.order_by not in found[1].columns:
        known = nearest(listed.order_by, found[1].columns) or f"; known: {', '.join(found[1].columns)}"
        message = f'order_by: column "{listed.order_by}" is not listed in {found[0]}{known}'
        yield rules.problem((*at, "order_by"), message)


def _told(rules: Rules, attribute: str, listed: ProfileList) -> Iterator[Problem]:
    """A list that sources have too: of them it must be one as well, each entry with its time."""
    found = kept(rules).get(attribute)
    if found is not None and not found.listed:
        message = (
            f"{attribute}: a list of {listed.table}, and sources say one value of it: name it under their `lists` too"
        )
        yield rules.problem(("profile", "lists", attribute), message, key=True)
    for source, one in rules.sources.items():
        if attribute in one.lists and one.lists[attribute].order_by is None:
            message = (
                f"{attribute}: `order_by` is missing: the entry's time, to be one list with those of {listed.table}"
            )
            yield rules.problem(("sources", source, "lists", attribute), message, key=True)


def _governed(
    rules: Rules, at: Path, attribute: str, found: tuple[str, Table], column: str, *, also_open: bool
) -> Iterator[Problem]:
    text, table = found
    rule = table.columns.get(column)
    if rule is None:
        hint = nearest(column, table.columns) or f"; known: {', '.join(table.columns)}"
        yield rules.problem(at, f'column "{column}" is not listed in {text}{hint}')
        return
    own = attribute_of(rule)
    if own != attribute and not (own is None and also_open):
        what = "open" if own is None else f"of attribute {own}"
        yield rules.problem(at, f"{text}.{column} is {what}, not of {attribute}")


def _unknown(rules: Rules, path: Path, what: str, word: str, known: Iterable[str]) -> Problem:
    listed = list(known)
    hint = nearest(word, listed) or (f"; known: {', '.join(listed[:12])}" if listed else "; none is defined")
    return rules.problem(path, f'{what} "{word}" is not defined{hint}')


# -- on the catalog -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Map:
    rules: Rules
    profile: Profile
    relations: Mapping[Key, Relation]  # of the tables that the rules list, by themselves
    subjects: Mapping[Key, Subject]
    start: Key
    problems: list[Problem]
    sourced: frozenset[str]  # the attributes that other sources tell of
    hops: dict[Key, Hop] = field(default_factory=dict)

    def say(self, path: Path, message: str, *, key: bool = False) -> None:
        self.problems.append(self.rules.problem(("profile", *path), message, key=key))


def map_profile(
    rules: Rules,
    snapshot: Snapshot,
    relations: Mapping[Key, Relation],
    subjects: Mapping[Key, Subject],
    problems: list[Problem],
    warnings: list[Problem],
) -> ProfileMap | None:
    """Where each attribute of the profile stands; None where the rules have none, or it is wrong (in `problems`).

    `relations`, `subjects`: of the tables that the rules list; the subject of what other sources say too.
    """
    profile = rules.profile
    if profile is None or problems:
        return None
    schema, name, column = split_column(profile.subject)
    data = snapshot.relations.get(DATA)
    sourced = frozenset(kept(rules)) & {c.name for c in data.columns} if data is not None else frozenset()
    if data is not None and sourced:
        relations = {**relations, DATA: data}
    work = _Map(rules, profile, relations, subjects, (schema, name), problems, sourced)
    _check_relation(work, snapshot)
    if subjects.get(work.start) != Subject(column):
        work.say(("subject",), f"subject: {column} is not the `subject` of {join_dotted(schema, name)}")
    elif not _is_unique(relations[schema, name], column):
        message = f"subject: {profile.subject} is not unique by itself; a primary key or unique index must say so"
        work.say(("subject",), message)
    for key in subjects:
        if key != work.start:
            work.hops[key] = _hop(work, key)
    missing = kept(rules).keys() - sourced
    if missing:
        what = f"what sources say of {', '.join(sorted(missing))}"
        message = f"profile: the database has no place yet for {what}: run `consentry consent setup`"
        warnings.append(rules.problem(("profile",), message, key=True))
    columns = list(_columns(work, warnings))
    if problems:
        return None
    invoker = snapshot.server_version >= _SECURITY_INVOKER
    return ProfileMap(split_relation(profile.relation), work.start, column, tuple(columns), work.hops, invoker)


def _check_relation(work: _Map, snapshot: Snapshot) -> None:
    key = split_relation(work.profile.relation)
    found = snapshot.relations.get(key)
    own = key[0] == OWN_SCHEMA and (key == PREFERENCES or key[1].startswith(("state_", "spans_")))
    if own or (found is not None and found.kind != "v"):
        work.say(("relation",), f"relation: {work.profile.relation} is another relation: take another name")
    elif key[0] != OWN_SCHEMA and snapshot.schemas and key[0] not in snapshot.schemas:
        hint = nearest(key[0], [*snapshot.schemas, OWN_SCHEMA])
        work.say(("relation",), f'relation: schema "{key[0]}" is not in the database{hint}')


def _hop(work: _Map, key: Key) -> Hop:
    """The next table on the way from a table to the profile's subject."""
    subject = work.subjects[key]
    if subject.steps:
        step = subject.steps[0]
        return Hop(step.from_column, (step.schema, step.table), step.to_column)
    return Hop(subject.column, work.start, split_column(work.profile.subject)[2])


def _is_unique(relation: Relation, column: str) -> bool:
    return (column,) in (relation.primary_key, *relation.unique_keys)


def _single(work: _Map, key: Key) -> bool:
    """Whether a customer has at most one row of the table."""
    while key != work.start:
        hop = work.hops[key]
        if key not in work.relations or not _is_unique(work.relations[key], hop.column):
            return False
        key = hop.table
    return True


def _columns(work: _Map, warnings: list[Problem]) -> Iterator[ProfileColumn]:
    """The profile's columns, in the order of the rules' attributes."""
    single: dict[str, list[tuple[Key, str]]] = {}
    several: dict[str, str] = {}
    key_attribute = None
    for key, (text, table) in governed_tables(work.rules).items():
        if key not in work.subjects:
            continue
        for column, rule in table.columns.items():
            attribute = attribute_of(rule)
            if key == work.start and column == split_column(work.profile.subject)[2]:
                key_attribute = attribute
            elif attribute is not None and _single(work, key):
                single.setdefault(attribute, []).append((key, column))
            elif attribute is not None:
                several.setdefault(attribute, text)
    for name in work.rules.attributes:
        if name in work.profile.lists:
            yield from _list(work, name, work.profile.lists[name])
        elif name in work.profile.columns:
            yield from _chosen(work, name)
        elif name in (work.profile.except_attributes or ()) or name == key_attribute:
            continue
        elif len(single.get(name, ())) > 1:
            _ambiguous(work, name, single[name])
        elif name in single or name in work.sourced:
            yield from _first(work, name, [*single.get(name, ()), *([(DATA, name)] if name in work.sourced else [])])
        elif name in several:
            message = (
                f"profile: attribute {name} is left out: a customer can have many rows of {several[name]}; "
                "name it under `lists`, or under `except_attributes`"
            )
            warnings.append(work.rules.problem(("profile",), message, key=True))


def _ambiguous(work: _Map, name: str, found: list[tuple[Key, str]]) -> None:
    choices = [join_dotted(*key, column) for key, column in found] + ([SOURCES] if name in work.sourced else [])
    tables = {key for key, _ in found}
    whole = ""
    if len(tables) == 1:
        names = ", ".join(column for _, column in found)
        whole = f", or all together ({{from: {join_dotted(*found[0][0])}, columns: [{names}]}})"
    work.say(
        (),
        f"profile: attribute {name} could be {' or '.join(choices)}: say under `columns` which ({name}: {choices[0]}), "
        f"in which order the first that is not null counts ({name}: [{', '.join(choices)}]){whole}",
        key=True,
    )


def _list(work: _Map, name: str, listed: ProfileList) -> Iterator[ProfileColumn]:
    key = split_relation(listed.table)
    if not _reaches(work, key, ("lists", name, "from")):
        return
    if _single(work, key):
        message = f"from: a customer has at most one row of {listed.table}: name it under `columns`"
        work.say(("lists", name, "from"), message)
        return
    told_by: tuple[str, ...] = ()
    if name in work.sourced:
        told = [one.lists[name].order_by for one in work.rules.sources.values() if name in one.lists]
        told_by = tuple(dict.fromkeys(field for field in told if field is not None))
        column = work.relations[key].column(listed.order_by)
        if column is not None and column.base_type not in _TIMES:
            message = f"order_by: {listed.order_by} is no time: this list is one with what sources say, newest first"
            work.say(("lists", name, "order_by"), message)
    columns = tuple((key, column) for column in listed.columns)
    yield ProfileColumn(name, "list", columns, listed.order_by, listed.limit, told_by)


def _chosen(work: _Map, name: str) -> Iterator[ProfileColumn]:
    choice = work.profile.columns[name]
    at: Path = ("columns", name)
    if isinstance(choice, ProfileObject):
        found = [(split_relation(choice.table), column) for column in choice.columns]
    else:
        texts = [choice] if isinstance(choice, str) else choice
        known = [text for text in texts if text != SOURCES or name in work.sourced]  # the others after `consent setup`
        found = [(DATA, name) if text == SOURCES else _split(text) for text in known]
    for key, _ in found:
        if not _reaches(work, key, at):
            return
        if not _single(work, key):
            work.say(at, f"{name}: a customer can have many rows of {join_dotted(*key)}: name it under `lists`")
            return
    if isinstance(choice, ProfileObject):
        yield ProfileColumn(name, "object", tuple(found))
    else:
        yield from _first(work, name, found)


def _first(work: _Map, name: str, found: list[tuple[Key, str]]) -> Iterator[ProfileColumn]:
    """An attribute of which the first that is not null counts."""
    families = {_family(work, *one) for one in found}
    if not families:
        return
    if len(families) > 1:
        work.say(("columns", name), f"{name}: its columns are of different types: {', '.join(sorted(families))}")
    else:
        yield ProfileColumn(name, "column", tuple(found))


def _split(text: str) -> tuple[Key, str]:
    schema, table, column = split_column(text)
    return (schema, table), column


def _family(work: _Map, key: Key, column: str) -> str:
    found = work.relations[key].column(column)
    assert found is not None
    return _FAMILIES.get(found.base_type, found.type_name)


def _reaches(work: _Map, key: Key, at: Path) -> bool:
    if key in work.subjects:
        return True
    work.say(at, f"{join_dotted(*key)} has no `subject`: nothing says which customer a row is of")
    return False
