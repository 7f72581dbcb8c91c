"""Rules and a catalog snapshot in, one table of treatments per app and relation out. Decides everything once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.decide import Decisions
from proxy.policy.expressions import called_functions, named_relations, row_predicate
from proxy.policy.json_masks import JSON, check_path, check_rest
from proxy.policy.lint import lint_catalog, lint_rules
from proxy.policy.mapped_sources import kept
from proxy.policy.masks import check_mask
from proxy.policy.model import App, ColumnEntry, Policy, SubjectReference, Table
from proxy.policy.names import join_dotted, split_column, split_relation
from proxy.policy.paths import governed_document, whole_treatment
from proxy.policy.preferences import with_preferences
from proxy.policy.profile import DATA, SUBJECT, map_profile
from proxy.policy.references import attribute_of, attributes_of, governed_tables, mask_of, open_tables
from proxy.policy.restriction import with_restriction
from proxy.policy.rights import compile_rights
from proxy.policy.rights_table import RightsTable
from proxy.policy.rules import Path, Rules, RulesError
from proxy.policy.store import compile_store
from proxy.policy.table import (
    AppPolicy,
    CompiledRules,
    ConsentStore,
    GovernedColumn,
    GovernedTable,
    Mask,
    Part,
    PolicyRef,
    RowPolicy,
    Subject,
    SubjectStep,
    SubjectTable,
    Treatment,
)
from proxy.yaml_lines import Problem, nearest

Key = tuple[str, str]

# Types of subject keys that one ledger can hold together.
SUBJECT_FAMILIES: Mapping[str, str] = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name"), "text"),
    "uuid": "uuid",
}
_GOVERNABLE = frozenset("rpvmf")
_OWN_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast", "consentry"})


@dataclass(frozen=True, slots=True)
class _Target:
    """A relation that has the rules of the entry `text`: the entry's own, or a partition or child of it."""

    relation: Relation
    text: str
    table: Table

    @property
    def path(self) -> Path:
        return ("tables", self.text)


@dataclass(slots=True)
class _Work:
    rules: Rules
    snapshot: Snapshot
    targets: dict[Key, _Target] = field(default_factory=dict)
    opened: set[Key] = field(default_factory=set)
    subjects: dict[Key, Subject] = field(default_factory=dict)
    data: _Target | None = None  # what other sources say of customers: the profile alone reads it
    keys: dict[str, Column] = field(default_factory=dict)  # the columns that name customers, by schema.table.column
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: Path, message: str, *, key: bool = False) -> None:
        self.problems.append(self.rules.problem(path, message, key=key))


def compile_rules(rules: Rules, snapshot: Snapshot) -> CompiledRules:
    """The tables of all apps.

    Raises RulesError with everything in the rules that this database does not have or cannot do.
    """
    work = _Work(rules, snapshot)
    _find_relations(work)
    _check_columns(work)
    _find_subjects(work)
    _find_data(work)
    _check_policies(work)
    _check_unlisted(work)
    decisions = Decisions(rules)
    warnings = [*lint_rules(rules, decisions), *lint_catalog(rules, snapshot, frozenset(work.targets), work.opened)]
    store = compile_store(rules, snapshot, work.keys, work.problems, warnings)
    apps = {name: _app(work, decisions, name, app, store) for name, app in rules.apps.items()}
    rights = _rights(work)
    listed = {key: target.relation for key, target in work.targets.items()}
    profile = map_profile(rules, snapshot, listed, work.subjects, work.problems, warnings)
    if work.problems:
        raise RulesError(work.problems)
    return CompiledRules(
        version=hashlib.sha256(f"{rules.digest} {snapshot.version}".encode()).hexdigest(),
        apps=apps,
        logins={login: name for name, app in rules.apps.items() for login in app.logins},
        warnings=tuple(str(problem) for problem in sorted(set(warnings))),
        show_hints=rules.hints,
        store=store,
        subject_tables=tuple(_subject_tables(work)),
        whole_tables={key: _whole_table(target) for key, target in _targets(work)},
        rights=rights,
        profile=profile,
    )


def _rights(work: _Work) -> RightsTable:
    targets = {key: (target.relation, target.text, target.table) for key, target in work.targets.items()}
    subjects = {key: (subject, _family_of(work, key)) for key, subject in work.subjects.items() if key != DATA}
    return compile_rights(work.rules, work.snapshot, targets, subjects, frozenset(work.opened), work.problems)


def _targets(work: _Work) -> Iterator[tuple[Key, _Target]]:
    yield from work.targets.items()
    if work.data is not None:
        yield DATA, work.data


# -- relations and columns ------------------------------------------------------------------------------------------


def _find_relations(work: _Work) -> None:
    """Finds what the rules list, and the partitions and children of it."""
    governed, opened = governed_tables(work.rules), open_tables(work.rules)
    for key, text in [*((k, t) for k, (t, _) in governed.items()), *opened.items()]:
        relation = work.snapshot.relations.get(key)
        if key[0] in _OWN_SCHEMAS:
            work.say(("tables", text), f"{text}: rules are not for schema {key[0]}", key=True)
        elif relation is None:
            known = {join_dotted(*k): k for k, r in work.snapshot.relations.items() if r.kind in _GOVERNABLE}
            hint = nearest(text, known) or _same_name(key[1], known)
            work.say(("tables", text), f'relation "{text}" is not in database {work.snapshot.database}{hint}', key=True)
        elif relation.kind == "S" and key not in governed:
            work.opened.add(key)
        elif relation.kind not in _GOVERNABLE:
            work.say(("tables", text), f"{text} is no table, view, foreign table or sequence", key=True)
        elif key in governed:
            work.targets[key] = _Target(relation, text, governed[key][1])
        else:
            work.opened.add(key)
    for relation in work.snapshot.relations.values():
        if relation.parents and relation.kind in _GOVERNABLE:
            _place_child(work, relation, governed, opened)
    for relation in work.snapshot.relations.values():
        owner = work.snapshot.by_oid.get(relation.owner or 0)
        if owner is not None and (owner.key in work.targets or owner.key in work.opened):
            work.opened.add(relation.key)  # a listed table's own sequence: what it gives is in the rows


def _same_name(name: str, known: Mapping[str, Key]) -> str:
    same = [text for text, key in known.items() if key[1] == name]
    return f' (did you mean "{same[0]}"?)' if same else ""


def _place_child(work: _Work, child: Relation, governed: Mapping[Key, object], opened: Mapping[Key, str]) -> None:
    parents = [work.snapshot.by_oid[oid] for oid in child.parents if oid in work.snapshot.by_oid]
    above = [p for p in parents if p.key in governed and p.key in work.targets]
    above_open = [p for p in parents if p.key in opened]
    name = join_dotted(*child.key)
    if child.key in governed:
        if above_open:
            parent = join_dotted(*above_open[0].key)
            message = f"{parent} is open, and shows the rows of its child {name}, which is governed: list its columns"
            work.say(("tables", opened[above_open[0].key]), message, key=True)
        elif not above and work.rules.defaults.unlisted_tables == "open" and parents:
            message = f"its parent {join_dotted(*parents[0].key)} shows its rows and is not listed: list the parent"
            work.say(("tables", governed[child.key][0]), message, key=True)  # type: ignore[index]
        return
    if child.key in opened:
        if above:
            message = f"{name} holds rows of {join_dotted(*above[0].key)}, which is governed: leave it out"
            work.say(("tables", opened[child.key]), message, key=True)
        return
    if above:
        nearest_parent = max(above, key=lambda parent: len(parent.parents))
        target = work.targets[nearest_parent.key]
        work.targets[child.key] = _Target(child, target.text, target.table)
    elif above_open:
        work.opened.add(child.key)


def _check_columns(work: _Work) -> None:
    for key, (text, table) in governed_tables(work.rules).items():
        target = work.targets.get(key)
        if target is None:
            continue
        known = [c.name for c in target.relation.columns if c.number > 0]
        for column, rule in table.columns.items():
            model = target.relation.column(column)
            paths = isinstance(rule, ColumnEntry) and rule.paths is not None
            if model is None or column not in known:
                message = f'column "{column}" is not in {text}{nearest(column, known)}'
                work.say((*target.path, "columns", column), message, key=True)
            elif paths and model.base_type not in JSON:
                message = f"paths: only json and jsonb have an inside with paths; {column} is of type {model.type_name}"
                work.say((*target.path, "columns", column, "paths"), message, key=True)


def _check_unlisted(work: _Work) -> None:
    """Copies of governed data that nobody listed: their rows are where no rule reaches."""
    governed = {target.relation.oid: key for key, target in work.targets.items()}
    for relation in work.snapshot.relations.values():
        if relation.key in work.targets or relation.key in work.opened or relation.schema in _OWN_SCHEMAS:
            continue
        name = join_dotted(*relation.key)
        read = [join_dotted(*governed[oid]) for oid in relation.reads if oid in governed]
        if relation.kind == "m" and read:
            message = f"materialised view {name} holds data of {', '.join(read)}: list it, with columns or as `open`"
            work.say(("tables",), message, key=True)
        elif relation.kind == "f" and work.rules.defaults.unlisted_tables == "open":
            message = f"foreign table {name} may hold anything: list it, with columns or as `open`"
            work.say(("tables",), message, key=True)


# -- subjects -------------------------------------------------------------------------------------------------------


def _find_subjects(work: _Work) -> None:
    """Resolves each table's subject to columns, and holds all subject keys to one family of types."""
    families: dict[str, str] = {}
    for key, target in work.targets.items():
        subject = _subject(work, target)
        if subject is None:
            continue
        work.subjects[key] = subject
        end = (subject.steps[-1].schema, subject.steps[-1].table) if subject.steps else key
        column = work.snapshot.relations[end].column(subject.column)
        assert column is not None
        if end in governed_tables(work.rules):
            work.keys[join_dotted(*end, column.name)] = column
        family = SUBJECT_FAMILIES.get(column.base_type)
        path: Path = (*target.path, "subject")
        label = f"{join_dotted(*end)}.{column.name} ({column.type_name})"
        if family is None:
            work.say(path, f"subject: {label} cannot name a customer; an integer, uuid or text column can")
            continue
        other = next((known for name, known in families.items() if name != family), None)
        if other is None:
            families[family] = label
        else:
            work.say(path, f"subject: {label} and {other} are of different kinds: one ledger holds one kind of key")


def _find_data(work: _Work) -> None:
    """Finds where the database keeps what other sources say, where the rules have a profile to show it."""
    relation, names = work.snapshot.relations.get(DATA), kept(work.rules)
    if work.rules.profile is not None and relation is not None and names:
        columns = {SUBJECT: "open", **{name: name for name in names}}
        work.data = _Target(
            relation, join_dotted(*DATA), Table.model_validate({"columns": columns, "subject": SUBJECT})
        )
        work.subjects[DATA] = Subject(SUBJECT)


def _subject(work: _Work, target: _Target) -> Subject | None:
    """None where the table has none, or where it is wrong (said then)."""
    steps: list[SubjectStep] = []
    relation, table, path = target.relation, target.table, target.path
    while True:
        rule = table.subject
        if rule is None or len(steps) > len(work.rules.tables):
            return None
        here: Path = (*path, "subject") if isinstance(rule, str) else (*path, "subject", "column")
        name = rule if isinstance(rule, str) else rule.column
        column = relation.column(name)
        if column is None:
            known = [c.name for c in relation.columns]
            work.say(here, f'subject: column "{name}" is not in {join_dotted(*relation.key)}{nearest(name, known)}')
            return None
        if not isinstance(rule, SubjectReference):
            return Subject(name, tuple(steps))
        schema, table_name, to = split_column(rule.references)
        following = work.targets.get((schema, table_name))
        if following is None or not _reference_holds(work, (*path, "subject", "references"), column, following, to):
            return None
        steps.append(SubjectStep(name, schema, table_name, to))
        relation, table, path = following.relation, following.table, following.path


def _subject_tables(work: _Work) -> Iterator[SubjectTable]:
    for key, target in work.targets.items():
        relation = target.relation
        above = {work.snapshot.by_oid[oid].key for oid in relation.parents if oid in work.snapshot.by_oid}
        if relation.kind == "v" or key not in work.subjects or above & work.subjects.keys():
            continue
        entries = target.table.columns
        columns = tuple((c.name, tuple(attributes_of(entries[c.name]))) for c in relation.columns if c.name in entries)
        yield SubjectTable(*key, work.subjects[key], _family_of(work, key), columns)


def _family_of(work: _Work, key: Key) -> str:
    """The family of the type of the keys that the relation's subject has."""
    subject = work.subjects[key]
    end = work.snapshot.relations[(subject.steps[-1].schema, subject.steps[-1].table) if subject.steps else key]
    column = end.column(subject.column)
    assert column is not None
    return SUBJECT_FAMILIES.get(column.base_type, "text")


def _reference_holds(work: _Work, path: Path, column: Column, following: _Target, to: str) -> bool:
    """Whether `following.to` is a key that values of `column` can be compared with."""
    relation = following.relation
    name = join_dotted(*relation.key)
    target = relation.column(to)
    if target is None:
        known = [c.name for c in relation.columns]
        work.say(path, f'references: column "{to}" is not in {name}{nearest(to, known)}')
        return False
    if (to,) not in (relation.primary_key, *relation.unique_keys):
        message = f"references: {name}.{to} is not unique by itself; a primary key or unique index must say so"
        work.say(path, message)
        return False
    if _family(column) != _family(target):
        types = f"{column.type_name} and {target.type_name}"
        work.say(path, f"references: {column.name} and {name}.{to} cannot be compared: {types}")
        return False
    return True


def _family(column: Column) -> str:
    return SUBJECT_FAMILIES.get(column.base_type, column.base_type)


# -- policies -------------------------------------------------------------------------------------------------------


def _check_policies(work: _Work) -> None:
    """Row predicates against the catalog: what their sub-queries read and call."""
    for number, policy in enumerate(work.rules.policies):
        if policy.rows is None or policy.rows.where is None:
            continue
        path: Path = ("policies", number, "rows", "where")
        text = row_predicate(policy.rows.where)
        for key in sorted(named_relations(text)):
            if key not in work.snapshot.relations:
                hint = nearest(join_dotted(*key), [join_dotted(*k) for k in work.snapshot.relations])
                work.say(path, f'where: relation "{join_dotted(*key)}" is not in the database{hint}')
        _check_functions(work, path, text)
    for name, mask in work.rules.masks.items():
        if mask.kind == "expression":
            _check_functions(work, ("masks", name, "sql"), str(mask_of(work.rules, name).option("sql", "")))


def _check_functions(work: _Work, path: Path, text: str) -> None:
    for schema, name in sorted(called_functions(text)):
        known = {function.schema for function in work.snapshot.functions.get(name, ())}
        if work.snapshot.functions and schema not in known:
            elsewhere = f"; write {min(known)}.{name}" if known else ""
            work.say(path, f"function {schema}.{name} is not in the database{elsewhere}")


def _app(work: _Work, decisions: Decisions, name: str, app: App, store: ConsentStore | None) -> AppPolicy:
    rules = work.rules
    tables: dict[Key, GovernedTable] = {}
    if not app.trusted:
        for key, target in work.targets.items():
            tables[key] = _table(work, decisions, name, target)
        if work.data is not None:
            tables |= _data(work, decisions, name, work.data, tables)
    policy = AppPolicy(
        name=name,
        label=app.label or name,
        kind=app.kind,
        purpose=app.purpose,
        logins=tuple(app.logins),
        trusted=app.trusted,
        monitor=app.mode == "monitor",
        explain=app.explain == "allow",
        functions=frozenset(split_relation(text) for text in (app.functions.allow if app.functions else ())),
        consent_id=app.consent_id or name,
        store=store,
        tables=tables,
        inner=frozenset(tables) & {DATA},
        open_tables=frozenset(work.opened),
        unlisted_tables=rules.defaults.unlisted_tables,
        policies=tuple(_ref(rules, number) for number in decisions.policies_of(name)),
    )
    policy = with_preferences(policy, work.snapshot, rules.where(("apps", name)))
    if rules.rights.restriction == "enforced":
        policy = with_restriction(policy, work.snapshot, rules.where(("rights", "restriction")))
    return policy


def _table(work: _Work, decisions: Decisions, app: str, target: _Target) -> GovernedTable:
    base = split_relation(target.text)
    subject = work.subjects.get(target.relation.key)
    columns = [_column(work, decisions, app, target, base, c) for c in target.relation.columns if c.number > 0]
    rows = []
    for number in decisions.rows(app, base):
        policy = work.rules.policies[number]
        assert policy.rows is not None
        consent = tuple(policy.rows.consent or ())
        if consent and subject is None:
            _needs_subject(work, target, number)
        where = row_predicate(policy.rows.where) if policy.rows.where else None
        rows.append(RowPolicy(_ref(work.rules, number), consent, where))
    return GovernedTable(target.relation.schema, target.relation.name, subject, tuple(columns), tuple(rows))


def _data(
    work: _Work, decisions: Decisions, app: str, target: _Target, tables: Mapping[Key, GovernedTable]
) -> dict[Key, GovernedTable]:
    """What other sources say, as one app has it: the key as in the table where the profile begins."""
    assert work.rules.profile is not None
    *start, name = split_column(work.rules.profile.subject)
    table = tables.get((start[0], start[1]))
    key = table.column(name) if table is not None else None
    if key is None:
        return {}  # the rules are wrong, and that is said
    names = kept(work.rules)
    columns = []
    for column in _table(work, decisions, app, target).columns:
        like = key if column.name == SUBJECT else column
        treatment = like.treatment if column.name == SUBJECT or column.name in names else Treatment("drop")
        columns.append(GovernedColumn(column.name, like.attribute, replace(treatment, write="deny")))
    return {DATA: GovernedTable(*DATA, Subject(SUBJECT), tuple(columns))}


def _column(work: _Work, decisions: Decisions, app: str, target: _Target, base: Key, column: Column) -> GovernedColumn:
    rules = work.rules
    rule = target.table.columns.get(column.name)
    if rule is None:
        unlisted = rules.defaults.unlisted_columns
        return GovernedColumn(column.name, None, Treatment("show" if unlisted == "open" else unlisted))
    paths = rule.paths if isinstance(rule, ColumnEntry) and column.base_type in JSON else None

    def part(name: str | None, wrong: Callable[[Mask], str | None]) -> Part:
        number = decisions.decide(app, name, (*base, column.name))
        return Part(name, _decided(work, number, target, name, wrong))

    def at(path: str) -> Callable[[Mask], str | None]:
        return lambda mask: check_path(mask, column, path)

    if not paths:
        whole = part(attribute_of(rule), lambda mask: check_mask(mask, column))
        return GovernedColumn(column.name, whole.attribute, whole.treatment)
    rest = part(attribute_of(rule), lambda mask: check_rest(mask, column))
    listed = [(path, part(None if name == "open" else name, at(path))) for path, name in paths.items()]
    document = governed_document(rest, listed)
    return GovernedColumn(column.name, rest.attribute, whole_treatment(document), document)


def _whole_table(target: _Target) -> GovernedTable:
    """The table with nothing hidden."""
    shown = Treatment("show")
    columns = []
    for column in target.relation.columns:
        rule = target.table.columns.get(column.name)
        if column.number < 0:
            continue
        attribute = attribute_of(rule) if rule is not None else None
        document = None
        if isinstance(rule, ColumnEntry) and rule.paths and column.base_type in JSON:
            parts = [(path, Part(None if name == "open" else name, shown)) for path, name in rule.paths.items()]
            document = governed_document(Part(attribute, shown), parts)
        columns.append(GovernedColumn(column.name, attribute, shown, document))
    return GovernedTable(*target.relation.key, None, tuple(columns), ())


def _decided(
    work: _Work, number: int | None, target: _Target, attribute: str | None, wrong: Callable[[Mask], str | None]
) -> Treatment:
    """What policy `number` gives of an attribute, or the defaults. `wrong`: why a mask cannot stand there."""
    rules = work.rules
    if attribute is None:
        return Treatment("show")
    if number is None:
        return Treatment(rules.defaults.attributes)
    policy = rules.policies[number]
    treatment = _treatment(rules, number, policy)
    if treatment.consent is not None and target.table.subject is None:
        _needs_subject(work, target, number)
    why = wrong(treatment.mask) if treatment.mask is not None else None
    if why is not None:
        work.say(_mask_path(number, policy), f"{why}, in {target.text}")
    return treatment


def _needs_subject(work: _Work, target: _Target, number: int) -> None:
    if target.table.subject is None:
        message = f"`subject` is missing in {target.text}: {_ref(work.rules, number)} asks for the customer's consent"
        work.say(target.path, message, key=True)


def _treatment(rules: Rules, number: int, policy: Policy) -> Treatment:
    assert policy.action is not None
    mask: Mask | None = None
    if policy.mask is not None:
        mask = mask_of(rules, policy.mask)
    elif policy.consent is not None:
        mask = mask_of(rules, policy.otherwise.mask) if policy.otherwise else Mask("null")
    return Treatment(policy.action, mask, policy.consent, _ref(rules, number), policy.basis, policy.write or "visible")


def _mask_path(number: int, policy: Policy) -> Path:
    return ("policies", number, "mask") if policy.mask is not None else ("policies", number, "otherwise", "mask")


def _ref(rules: Rules, number: int) -> PolicyRef:
    file, line = rules.where(("policies", number, "name"))
    return PolicyRef(rules.policies[number].name, file, line)
