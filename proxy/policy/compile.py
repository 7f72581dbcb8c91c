"""Rules and a catalog snapshot in, one table of treatments per app and relation out. Decides everything once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from proxy.catalog.model import Column, Snapshot
from proxy.policy.decide import Decisions
from proxy.policy.expressions import called_functions, named_relations, row_predicate
from proxy.policy.json_masks import JSON, check_path, check_rest
from proxy.policy.lint import lint_catalog, lint_rules
from proxy.policy.mapped_sources import kept
from proxy.policy.masks import check_mask
from proxy.policy.model import App, ColumnEntry, Policy
from proxy.policy.names import join_dotted, split_column, split_relation
from proxy.policy.others import with_others
from proxy.policy.paths import governed_document, whole_treatment
from proxy.policy.preferences import with_preferences
from proxy.policy.profile import DATA, SUBJECT, map_profile
from proxy.policy.references import attribute_of, mask_of
from proxy.policy.restriction import with_restriction
from proxy.policy.rights import compile_rights
from proxy.policy.rights_table import RightsTable
from proxy.policy.rules import Path, Rules, RulesError
from proxy.policy.settled import with_settled
from proxy.policy.spans import with_spans
from proxy.policy.store import compile_store
from proxy.policy.subjects import family_of, find_data, find_subjects, subject_tables
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
    Treatment,
)
from proxy.policy.targets import Key, Target, Work, check_columns, check_unlisted, find_relations, targets
from proxy.yaml_lines import nearest


def compile_rules(rules: Rules, snapshot: Snapshot) -> CompiledRules:
    """The tables of all apps.

    Raises RulesError with everything in the rules that this database does not have or cannot do.
    """
    work = Work(rules, snapshot)
    find_relations(work)
    check_columns(work)
    find_subjects(work)
    find_data(work)
    _check_policies(work)
    check_unlisted(work)
    decisions = Decisions(rules)
    warnings = [*lint_rules(rules, decisions), *lint_catalog(rules, snapshot, frozenset(work.targets), work.opened)]
    store = compile_store(rules, snapshot, work.keys, work.problems, warnings)
    apps = {name: _app(work, decisions, name, app, store) for name, app in rules.apps.items()}
    rights = _rights(work)
    listed = {key: target.relation for key, target in work.targets.items()}
    profile = with_others(map_profile(rules, snapshot, listed, work.subjects, work.problems, warnings), snapshot)
    if work.problems:
        raise RulesError(work.problems)
    return CompiledRules(
        version=hashlib.sha256(f"{rules.digest} {snapshot.version}".encode()).hexdigest(),
        apps=apps,
        logins={login: name for name, app in rules.apps.items() for login in app.logins},
        warnings=tuple(str(problem) for problem in sorted(set(warnings))),
        show_hints=rules.hints,
        store=store,
        subject_tables=tuple(subject_tables(work)),
        whole_tables={key: _whole_table(target) for key, target in targets(work)},
        rights=rights,
        profile=profile,
        digest=rules.digest,
    )


def _rights(work: Work) -> RightsTable:
    targets = {key: (target.relation, target.text, target.table) for key, target in work.targets.items()}
    subjects = {key: (subject, family_of(work, key)) for key, subject in work.subjects.items() if key != DATA}
    return compile_rights(work.rules, work.snapshot, targets, subjects, frozenset(work.opened), work.problems)


# -- policies -------------------------------------------------------------------------------------------------------


def _check_policies(work: Work) -> None:
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


def _check_functions(work: Work, path: Path, text: str) -> None:
    for schema, name in sorted(called_functions(text)):
        known = {function.schema for function in work.snapshot.functions.get(name, ())}
        if work.snapshot.functions and schema not in known:
            elsewhere = f"; write {min(known)}.{name}" if known else ""
            work.say(path, f"function {schema}.{name} is not in the database{elsewhere}")


def _app(work: Work, decisions: Decisions, name: str, app: App, store: ConsentStore | None) -> AppPolicy:
    rules = work.rules
    tables: dict[Key, GovernedTable] = {}
    if not app.trusted:
        for key, target in work.targets.items():
            tables[key] = _table(work, decisions, name, target)
        if work.data is not None:
            tables |= _data(work, decisions, name, work.data, tables)
        tables = with_settled(tables, work.snapshot)
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
    policy = with_spans(policy, work.snapshot)
    policy = with_preferences(policy, work.snapshot, rules.where(("apps", name)))
    if rules.rights.restriction == "enforced":
        policy = with_restriction(policy, work.snapshot, rules.where(("rights", "restriction")))
    return policy


def _table(work: Work, decisions: Decisions, app: str, target: Target) -> GovernedTable:
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
    work: Work, decisions: Decisions, app: str, target: Target, tables: Mapping[Key, GovernedTable]
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


def _column(work: Work, decisions: Decisions, app: str, target: Target, base: Key, column: Column) -> GovernedColumn:
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


def _whole_table(target: Target) -> GovernedTable:
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
    work: Work, number: int | None, target: Target, attribute: str | None, wrong: Callable[[Mask], str | None]
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


def _needs_subject(work: Work, target: Target, number: int) -> None:
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
