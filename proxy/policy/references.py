"""What the rules say about themselves: names that must exist, keys that belong together. Needs no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from proxy.policy.expressions import ExpressionError, mask_expression, row_predicate
from proxy.policy.mapped_sources import check_sources
from proxy.policy.model import ColumnEntry, Policy, SubjectReference, Table
from proxy.policy.model_masks import ExpressionMask
from proxy.policy.names import join_dotted, split_column, split_relation
from proxy.policy.paths import Steps, keys_of, split_path
from proxy.policy.rules import Path, Rules
from proxy.policy.store import check_store
from proxy.policy.table import Mask
from proxy.yaml_lines import Problem, nearest

# Kinds that can be named without being defined, because they need no option.
BUILT_IN_MASKS = ("null", "redact", "partial", "email", "hash", "pseudonym", "ip", "keys")
_NEEDS_OPTIONS = {"truncate": "to: month", "round": "to: 100", "range": "step: 10", "first": "characters: 2"}
_COLUMN_KEYS = (
    "attributes", "except_attributes", "columns", "action", "mask", "consent", "otherwise", "write", "basis",
)  # fmt: skip


def check_references(rules: Rules) -> list[Problem]:
    """Everything wrong that can be told without the database and is not a matter of one mapping."""
    problems: list[Problem] = []
    problems += _tables(rules)
    problems += _logins(rules)
    problems += _masks(rules)
    problems += check_store(rules)
    problems += check_sources(rules)
    names: dict[str, int] = {}
    for number, policy in enumerate(rules.policies):
        problems += _policy(rules, number, policy)
        first = names.setdefault(policy.name, number)
        if first != number:
            file, line = rules.where(("policies", first, "name"))
            message = f'"{policy.name}" is defined twice; the first is at {file}:{line}'
            problems.append(rules.problem(("policies", number, "name"), message))
    return problems


def attribute_of(rule: str | ColumnEntry) -> str | None:
    """The attribute of a column's entry; None where the column is open."""
    attribute = rule.attribute if isinstance(rule, ColumnEntry) else rule
    return None if attribute == "open" else attribute


def attributes_of(rule: str | ColumnEntry) -> list[str]:
    """The attributes of a column's entry and of the paths in it, open ones left out."""
    paths = rule.paths or {} if isinstance(rule, ColumnEntry) else {}
    return [name for name in (attribute_of(rule), *paths.values()) if name is not None and name != "open"]


def governed_tables(rules: Rules) -> dict[tuple[str, str], tuple[str, Table]]:
    """(schema, name) -> (as the rules spell it, its entry)."""
    return {split_relation(text): (text, table) for text, table in rules.tables.items() if isinstance(table, Table)}


def open_tables(rules: Rules) -> dict[tuple[str, str], str]:
    """(schema, name) -> as the rules spell it."""
    return {split_relation(text): text for text, table in rules.tables.items() if not isinstance(table, Table)}


def _unknown(rules: Rules, path: Path, what: str, word: str, known: Iterable[str], *, key: bool = False) -> Problem:
    known = list(known)
    hint = nearest(word, known) or (f"; known: {', '.join(known[:12])}" if known else "; none is defined")
    return rules.problem(path, f'{what} "{word}" is not defined{hint}', key=key)


# -- tables, apps, masks --------------------------------------------------------------------------------------------


def _tables(rules: Rules) -> Iterator[Problem]:
    governed = governed_tables(rules)
    seen: dict[tuple[str, str], str] = {}
    for text, table in rules.tables.items():
        path: Path = ("tables", text)
        key = split_relation(text)
        if key in seen:
            yield rules.problem(path, f"{text} is {seen[key]}, which is defined already", key=True)
        seen[key] = text
        if not isinstance(table, Table):
            continue
        for column, rule in table.columns.items():
            at: Path = (*path, "columns", column)
            attribute = attribute_of(rule)
            if attribute is not None and not rules.declares("attributes", attribute):
                inside = (*at, "attribute") if isinstance(rule, ColumnEntry) else at
                yield _unknown(rules, inside, "attribute", attribute, [*rules.attributes, "open"])
            if isinstance(rule, ColumnEntry):
                yield from _paths(rules, (*at, "paths"), rule.paths or {})
        if isinstance(table.subject, SubjectReference):
            schema, name, _ = split_column(table.subject.references)
            at = (*path, "subject", "references")
            if (schema, name) not in governed and not rules.declares("tables", join_dotted(schema, name)):
                known = [t for t, _ in governed.values()]
                yield _unknown(rules, at, "table with columns", join_dotted(schema, name), known)
            elif (schema, name) not in governed:
                pass  # it is wrong, and that is said
            elif governed[schema, name][1].subject is None:
                yield rules.problem(at, f"{join_dotted(schema, name)} has no `subject` itself: where to go from there?")
            elif _circular(governed, key):
                yield rules.problem(at, "the subject is looked for in a circle: no table says which column names it")


def _paths(rules: Rules, at: Path, paths: Mapping[str, str]) -> Iterator[Problem]:
    """The attributes of the paths in one column, and that no place has two."""
    seen: dict[Steps, str] = {}
    for text, attribute in paths.items():
        if attribute != "open" and not rules.declares("attributes", attribute):
            yield _unknown(rules, (*at, text), "attribute", attribute, [*rules.attributes, "open"])
        first = seen.setdefault(keys_of(split_path(text)), text)
        if first != text:
            yield rules.problem((*at, text), f"{text} and {first} are the same places: write one of them", key=True)


def _circular(governed: dict[tuple[str, str], tuple[str, Table]], key: tuple[str, str]) -> bool:
    seen = {key}
    while key in governed:
        subject = governed[key][1].subject
        if not isinstance(subject, SubjectReference):
            return False
        key = split_column(subject.references)[:2]
        if key in seen:
            return True
        seen.add(key)
    return False


def _logins(rules: Rules) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, app in rules.apps.items():
        for number, login in enumerate(app.logins):
            owner = owners.setdefault(login, name)
            path: Path = ("apps", name, "logins", number)
            if owner != name:
                yield rules.problem(path, f'login "{login}" belongs to app {owner} already: a login has one app')
            elif login in app.logins[:number]:
                yield rules.problem(path, f'login "{login}" stands here twice')


def _masks(rules: Rules) -> Iterator[Problem]:
    for name, mask in rules.masks.items():
        path: Path = ("masks", name)
        if name in BUILT_IN_MASKS or name in _NEEDS_OPTIONS or name == "expression":
            yield rules.problem(path, f'"{name}" is a built-in mask: take another name', key=True)
        yield from _expression(rules, (*path, "sql"), mask)


def _expression(rules: Rules, path: Path, mask: object) -> Iterator[Problem]:
    if isinstance(mask, ExpressionMask):
        try:
            mask_expression(mask.sql)
        except ExpressionError as error:
            yield rules.problem(path, f"sql: {error}")


# -- policies -------------------------------------------------------------------------------------------------------


def _policy(rules: Rules, number: int, policy: Policy) -> Iterator[Problem]:
    path: Path = ("policies", number)
    for key in ("apps", "except_apps"):
        names = getattr(policy, key)
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if name != "-" and not rules.declares("apps", name):
                yield _unknown(rules, (*path, key, index), "app", name, rules.apps)
    for key in ("attributes", "except_attributes"):
        names = getattr(policy, key)
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if not rules.declares("attributes", name):
                yield _unknown(rules, (*path, key, index), "attribute", name, rules.attributes)
    if policy.tables is not None or policy.rows is not None:
        yield from _row_policy(rules, path, policy)
    else:
        yield from _column_policy(rules, path, policy)


def _row_policy(rules: Rules, path: Path, policy: Policy) -> Iterator[Problem]:
    for key in _COLUMN_KEYS:
        if getattr(policy, key) is not None:
            message = f"{key}: a row policy has `tables` and `rows`, no `{key}`; make two policies of it"
            yield rules.problem((*path, key), message, key=True)
    if policy.tables is None or policy.rows is None:
        missing = "tables" if policy.tables is None else "rows"
        yield rules.problem(path, f'`{missing}` is missing in row policy "{policy.name}"')
    governed = governed_tables(rules)
    for index, text in enumerate(policy.tables or ()):
        if split_relation(text) not in governed and rules.tables.get(text, "open") == "open":
            known = [t for t, _ in governed.values()]
            yield _unknown(rules, (*path, "tables", index), "table with columns", text, known)
    if policy.rows is None:
        return
    if policy.rows.consent is None and policy.rows.where is None:
        yield rules.problem((*path, "rows"), "rows: write `consent: [attribute]`, `where: SQL`, or both", key=True)
    for index, name in enumerate(policy.rows.consent or ()):
        if not rules.declares("attributes", name):
            yield _unknown(rules, (*path, "rows", "consent", index), "attribute", name, rules.attributes)
    if policy.rows.where is not None:
        try:
            row_predicate(policy.rows.where)
        except ExpressionError as error:
            yield rules.problem((*path, "rows", "where"), f"where: {error}")


def _column_policy(rules: Rules, path: Path, policy: Policy) -> Iterator[Problem]:
    if policy.attributes is None and policy.columns is None:
        message = f'policy "{policy.name}" says nothing of what: add `attributes` or `columns` (or `tables` and `rows`)'
        yield rules.problem(path, message)
    if policy.action is None:
        yield rules.problem(path, f'`action` is missing in policy "{policy.name}": show, mask, drop or deny')
    yield from _columns(rules, path, policy)
    yield from _together(rules, path, policy)
    for key, use in (("mask", policy.mask), ("otherwise", policy.otherwise.mask if policy.otherwise else None)):
        at: Path = (*path, key) if key == "mask" else (*path, key, "mask")
        if isinstance(use, str):
            yield from check_mask_name(rules, at, use)
        else:
            yield from _expression(rules, (*at, "sql"), use)


def _columns(rules: Rules, path: Path, policy: Policy) -> Iterator[Problem]:
    governed = governed_tables(rules)
    for index, text in enumerate(policy.columns or ()):
        schema, name, column = split_column(text)
        at: Path = (*path, "columns", index)
        if (schema, name) not in governed:
            known = [t for t, _ in governed.values()]
            yield _unknown(rules, at, "table with columns", join_dotted(schema, name), known)
            continue
        table = governed[schema, name][1]
        if column not in table.columns:
            yield _unknown(rules, at, "column", column, table.columns)
        elif not attributes_of(table.columns[column]):
            yield rules.problem(at, f"{text} is open: no policy decides about it")


def _together(rules: Rules, path: Path, policy: Policy) -> Iterator[Problem]:
    """Keys of a column policy that need or exclude each other."""

    def wrong(key: str, message: str) -> Problem:
        return rules.problem((*path, key), f"{key}: {message}", key=True)

    if policy.action == "mask" and policy.mask is None:
        yield rules.problem(path, f'`mask` is missing in policy "{policy.name}", whose action is mask')
    if policy.mask is not None and policy.action not in ("mask", None):
        yield wrong("mask", f"belongs to `action: mask`, not to {policy.action} (those who did not agree: otherwise)")
    if policy.consent is not None and policy.action not in ("show", None):
        yield wrong("consent", f"belongs to `action: show`, not to {policy.action}")
    if policy.otherwise is not None and policy.consent is None:
        yield wrong("otherwise", "belongs to `consent: opt_in` or `opt_out`")
    if policy.basis is not None and policy.consent is not None:
        yield wrong("basis", "says why consent is not asked; here it is asked")
    if policy.basis is not None and policy.action in ("drop", "deny"):
        yield wrong("basis", f"nothing is disclosed by {policy.action}")
    if policy.write == "allow" and policy.action in ("drop", "deny"):
        yield wrong("write", f"a column that an app cannot name cannot be written: action is {policy.action}")


def check_mask_name(rules: Rules, path: Path, name: str) -> Iterator[Problem]:
    """Whether a mask that is named can be."""
    if name in BUILT_IN_MASKS or rules.declares("masks", name):
        return
    if name in _NEEDS_OPTIONS:
        example = f"{{kind: {name}, {_NEEDS_OPTIONS[name]}}}"
        yield rules.problem(path, f'mask "{name}" needs an option: write {example}, or name it under `masks`')
        return
    yield _unknown(rules, path, "mask", name, [*rules.masks, *BUILT_IN_MASKS])


def mask_of(rules: Rules, use: object) -> Mask:
    """The mask that a policy's `mask:` means: a name, built-in or defined, or a mapping. For rules that are checked."""
    model = rules.masks.get(use) if isinstance(use, str) else use
    if model is None:
        return Mask(str(use))
    assert hasattr(model, "model_dump")
    given = model.model_dump(by_alias=True, exclude_none=True)
    kind = given.pop("kind")
    if isinstance(model, ExpressionMask):
        given["sql"] = mask_expression(model.sql)
    options = {k: v if isinstance(v, str | int) else repr(v) for k, v in given.items()}
    return Mask(kind, tuple(sorted(options.items())))
