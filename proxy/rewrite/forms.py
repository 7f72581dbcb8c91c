"""The governed form: the text that stands for a governed relation (docs/reference/governed-form.md is its definition).

One `Form` for each (app, relation), made once; its pieces are put together per statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.catalog.model import Column, Relation, SearchPath, Snapshot
from proxy.errors import ConsentryError, PgError
from proxy.policy.masks import mask_sql
from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.others import nothing
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, Mask, Subject
from proxy.rewrite import spans
from proxy.rewrite.analyse import analyse
from proxy.rewrite.documents import document_sql
from proxy.rewrite.lex import Tokens, parse, part_at, part_end, quote_literal
from proxy.rewrite.scope import owners

_NULL = Mask("null")
_EQ = "OPERATOR(pg_catalog.=)"


def _base(table: GovernedTable, relation: Relation) -> str:
    """What the form reads: the table, or its rows and those of customers whom it does not have."""
    if table.others is None:
        return quote_relation(table.key)
    shown = [c.name for c in table.columns if c.treatment.visible and c.name != table.others.mark]
    key = table.subject.column if table.subject is not None else ""
    own = ", ".join(map(quote_identifier, shown))
    models = [column for name in shown if (column := relation.column(name)) is not None]
    none = ", ".join('"subject"' if column.name == key else str(nothing(column)) for column in models)
    return (
        f"(SELECT {own}, true AS {quote_identifier(table.others.mark)} FROM {quote_relation(table.others.table)} "
        f"UNION ALL SELECT {none}, false FROM {quote_relation(table.others.keys)})"
    )


@dataclass(frozen=True, slots=True)
class Predicate:
    """A row policy's `where`, or a consent store's `granted`, cut where the relation's columns stand.

    Text, then alternately column names and text.
    """

    texts: tuple[str, ...]
    columns: tuple[str, ...]
    has_query: bool = False

    def render(self, alias: str) -> str:
        """The predicate over the table under `alias` (quoted already)."""
        out = [self.texts[0]]
        for column, text in zip(self.columns, self.texts[1:], strict=True):
            out += [f"{alias}.{quote_identifier(column)}", text]
        return "".join(out)


class Form:
    """How one app reads one relation. All methods return SQL text."""

    def __init__(self, app: AppPolicy, table: GovernedTable, relation: Relation, snapshot: Snapshot) -> None:
        self.table = table
        self.relation = relation
        self._app = app
        self._version = snapshot.server_version
        self._base = _base(table, relation)
        self._state = f'"consentry".{quote_identifier("state_" + app.name)} AS _c'
        self._by_span = spans.serve(app, table)
        self._granted = ""  # of a mapped store: whether a row of it grants
        if app.store is not None:
            self._state = f"{quote_identifier(app.store.schema)}.{quote_identifier(app.store.table)} AS _c"
            consents = snapshot.relations[app.store.schema, app.store.table]
            self._granted = f"({compile_predicate(app.store.granted, consents, app, snapshot).render('_c')})"
        self._predicates = [
            compile_predicate(row.where, relation, app, snapshot) if row.where else None for row in table.rows
        ]
        self._outputs: dict[tuple[bool, bool], str] = {}  # by whether the state is joined, and there is a fence
        self.visible = tuple(c for c in table.columns if c.treatment.visible)
        self.asks_consent = any(c.asks_consent for c in self.visible) or any(row.consent for row in table.rows)

    @property
    def columns_asked(self) -> frozenset[str]:
        """The relation's columns by which `read` finds the subject and chooses rows, shown or not."""
        asked = {name for predicate in self._predicates if predicate is not None for name in predicate.columns}
        if self.asks_consent:
            asked.add(self._subject.steps[0].from_column if self._subject.steps else self._subject.column)
        return frozenset(asked)

    @property
    def columns_given(self) -> frozenset[str]:
        """The relation's columns that the outputs of `read` are made from; a constant is made from none."""
        values = ((column.name, self._value(column, "_t", lambda *_: "true")) for column in self.visible)
        return frozenset(name for name, value in values if f"_t.{quote_identifier(name)}" in value)

    # -- the form in FROM -------------------------------------------------------------------------------------------

    def read(
        self,
        *,
        only: bool = False,
        sample: str = "",
        system: Sequence[str] = (),
        apart: bool = False,
        fenced: bool = False,
        comparisons: Sequence[str] = (),
    ) -> str:
        """The sub-query, parentheses included, without alias.

        `sample` is the TABLESAMPLE clause; `system` the system columns to add; `apart` takes the exists shape;
        `comparisons` are the app's own, copied.
        """
        joined = not apart and self._app.store is None
        outputs = self._outputs.get((joined, fenced))
        if outputs is None:
            consent = self._consent_by_join if joined else self._consent_by_look_up
            outputs = ", ".join(self._output(c, "_t", consent, fenced) for c in self.visible)
            self._outputs[joined, fenced] = outputs
        more = "".join(f", _t.{name}" for name in system)
        parts = [f"SELECT {outputs}{more if outputs else more[2:]} FROM {'ONLY ' if only else ''}{self._base} AS _t"]
        if sample:
            parts.append(sample)
        if self.asks_consent and joined:
            parts += self._joins()
        asked = self._consent_by_join if joined else self._consent_by_exists
        conjuncts = [text for text, _ in self._conjuncts("_t", asked)]
        conjuncts += comparisons
        if conjuncts:
            parts.append("WHERE " + " AND ".join(conjuncts))
        if fenced:
            parts.append("OFFSET 0")
        return f"({' '.join(parts)})"

    # -- pieces for a relation that is written ----------------------------------------------------------------------

    def column(self, name: str, alias: str, *, version: bool = False) -> str:
        """The governed expression of a column of the relation in place, `alias` quoted already; in parentheses.

        `version`: the alias is RETURNING's old or new, a row that may not be there.
        """
        column = self.table.column(name)
        if column is None:
            raise KeyError(name)
        value = self._value(column, alias, self._consent_by_look_up)
        if version:
            absent = f"(NULL)::{self._column(name).type_name}"
            value = f"CASE WHEN ({alias}.*) IS DISTINCT FROM NULL THEN {value} ELSE {absent} END"
        return f"({value})"

    def rows(self, alias: str) -> list[str]:
        """The row policies' conjuncts for the relation in place, each in parentheses.

        Those that hold a query stand behind IS TRUE: PostgreSQL would make a join of EXISTS or IN, and could run what
        else the statement reads before it, for hidden rows.
        """
        return [
            f"({text} IS TRUE)" if query else text for text, query in self._conjuncts(alias, self._consent_by_exists)
        ]

    # -- inside -----------------------------------------------------------------------------------------------------

    def _output(self, column: GovernedColumn, alias: str, consent: Callable[[str, str, str], str], fenced: bool) -> str:
        text = self._value(column, alias, consent)
        if column.treatment.plain:
            if not fenced or not self._column(column.name).tells_by_estimates:
                return text
            text = f"COALESCE({text}, {text})"  # no column, and so without statistics
        return f"{text} AS {quote_identifier(column.name)}"

    def _value(self, column: GovernedColumn, alias: str, consent: Callable[[str, str, str], str]) -> str:
        treatment = column.treatment
        raw = f"{alias}.{quote_identifier(column.name)}"
        if treatment.plain:
            return raw
        model = self._column(column.name)
        if column.document is not None:
            return document_sql(
                column.document, raw, model.base_type, self._version, lambda name, mode: consent(name, mode, alias)
            )
        masked = f"({mask_sql(treatment.mask or _NULL, raw, model)})::{model.type_name}"
        if treatment.action == "mask":
            text = masked
        else:
            assert treatment.consent is not None
            assert column.attribute is not None
            shown = consent(column.attribute, treatment.consent, alias)
            text = f"(CASE WHEN {shown} THEN {raw} ELSE {masked} END)"
        return f"{text} COLLATE {model.collation}" if model.collation else text

    def _column(self, name: str) -> Column:
        column = self.relation.column(name)
        if column is None:
            raise KeyError(name)
        return column

    def _conjuncts(self, alias: str, consent: Callable[[str, str, str], str]) -> list[tuple[str, bool]]:
        """(conjunct, whether it holds a query, where consent is asked by one) of the row policies."""
        conjuncts = []
        for row, predicate in zip(self.table.rows, self._predicates, strict=True):
            conjuncts += [(f"({consent(attribute, 'opt_in', alias)})", True) for attribute in row.consent]
            if predicate is not None:
                text = predicate.render(alias)
                conjuncts.append((f"({text}\n)" if "--" in text else f"({text})", predicate.has_query))
        return conjuncts

    @property
    def _subject(self) -> Subject:
        if self.table.subject is None:  # compile refuses such rules
            raise ConsentryError(f"{self.table.schema}.{self.table.name} asks consent but has no subject")
        return self.table.subject

    def _steps(self, alias: str) -> tuple[list[tuple[str, str]], str]:
        """[(relation AS _s1, its join condition) ...] and the subject's expression."""
        previous = alias
        steps = []
        for number, step in enumerate(self._subject.steps, 1):
            here = f"_s{number}"
            relation = f"{quote_identifier(step.schema)}.{quote_identifier(step.table)} AS {here}"
            condition = (
                f"({here}.{quote_identifier(step.to_column)} {_EQ} {previous}.{quote_identifier(step.from_column)})"
            )
            steps.append((relation, condition))
            previous = here
        return steps, f"{previous}.{quote_identifier(self._subject.column)}"

    def _match(self, subject: str, attribute: str) -> str:
        """The conditions that lead to the state, or to a mapped store's rows for the attribute."""
        store = self._app.store
        if store is not None:
            pairs = [(store.subject, subject), (store.app, quote_literal(self._app.consent_id))]
            if store.attribute is not None:
                pairs.append((store.attribute, quote_literal(store.called(attribute))))
            return " AND ".join(f"(_c.{quote_identifier(column)} {_EQ} {value})" for column, value in pairs)
        return f'(_c."app" {_EQ} {quote_literal(self._app.name)}) AND (_c."subject" {_EQ} {subject})'

    def _joins(self) -> list[str]:
        steps, subject = self._steps("_t")
        state = f"LEFT JOIN {self._state} ON ({self._match(subject, '')})"
        last = spans.join(self._app.name, subject) if self._by_span else state
        return [*(f"LEFT JOIN {relation} ON {condition}" for relation, condition in steps), last]

    def _consent_by_join(self, attribute: str, mode: str, alias: str) -> str:
        _, subject = self._steps(alias)
        if mode == "opt_in":
            return spans.granted(attribute, subject) if self._by_span else _granted(attribute)
        withdrawn = spans.withdrawn(attribute, subject) if self._by_span else _withdrawn(attribute)
        return f"(({subject} IS NOT NULL) AND ({withdrawn} IS NOT TRUE))"

    def _consent_by_look_up(self, attribute: str, mode: str, alias: str) -> str:
        """By EXISTS for one row at a time: without the OFFSET PostgreSQL may read all consents into a hash table first,
        also for a few rows (it does not count what LIMIT leaves out).
        """
        return self._consent_by_exists(attribute, mode, alias, " OFFSET 0")

    def _consent_by_exists(self, attribute: str, mode: str, alias: str, tail: str = "") -> str:
        steps, subject = self._steps(alias)
        conditions = "".join(f" AND {condition}" for _, condition in steps)
        match = self._match(subject, attribute)
        if mode == "opt_in":
            relations = ", ".join([self._state, *(relation for relation, _ in steps)])
            granted = self._granted or _granted(attribute)
            return f"(EXISTS (SELECT 1 FROM {relations} WHERE {match}{conditions} AND {granted}{tail}))"
        refused = f"({self._granted} IS NOT TRUE)" if self._granted else _withdrawn(attribute)
        none_refused = f"NOT EXISTS (SELECT 1 FROM {self._state} WHERE {match} AND {refused}"
        known = f"({subject} IS NOT NULL)"
        if not steps:
            return f"({known} AND ({none_refused}{tail})))"
        relations = ", ".join(relation for relation, _ in steps)
        joined = " AND ".join(condition for _, condition in steps)
        return f"(EXISTS (SELECT 1 FROM {relations} WHERE {joined} AND {known} AND ({none_refused})){tail}))"


def is_form_alias(name: str) -> bool:
    """Whether `name` is an alias that stands inside of governed forms: _t, _c, _r, _s1, _j, _j1, _g1, _p1, _o ..."""
    return re.fullmatch(r"_(t|c|r|o|s\d+|j\d*|[gp]\d+)", name) is not None


def _granted(attribute: str) -> str:
    literal = quote_literal(attribute)
    return (
        f'(({literal}::pg_catalog.text {_EQ} ANY (_c."granted")) OR '
        f'((_c."expiring" OPERATOR(pg_catalog.->>) {literal})::pg_catalog.timestamptz '
        f"OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))"
    )


def _withdrawn(attribute: str) -> str:
    return f'({quote_literal(attribute)}::pg_catalog.text {_EQ} ANY (_c."withdrawn"))'


def compile_predicate(where: str, relation: Relation, app: AppPolicy, snapshot: Snapshot) -> Predicate:
    """The rules' SQL over a relation, its columns cut out. Raises ConsentryError where it is no single expression."""
    text = substitute_names(where, app.name)
    head = f"SELECT 1 FROM {quote_identifier(relation.schema)}.{quote_identifier(relation.name)} WHERE ("
    whole = f"{head}{text}\n)"
    try:
        statements = parse(whole)
        found = Tokens(whole)
    except PgError as error:
        raise ConsentryError(f"the rules' SQL: {error.message} in {where!r}") from error
    if any(is_form_alias(token.text.decode().strip('"')) for token in found):
        raise ConsentryError(f"the rules' SQL: aliases like _t and _c are the gateway's own: {where!r}")
    everything = AppPolicy(app.name, "", "internal", "", ())

    analysis = analyse(statements[0]["stmt"], snapshot, SearchPath(), everything)
    raw = whole.encode()
    top = analysis.levels[0].sources[0]
    starts = [token.start for token in found]
    cuts: list[tuple[int, int, str]] = []
    for use in analysis.uses:
        owned = owners(use)
        if use.start < 0 or not any(source is top for source in owned.sources):
            continue
        if owned.whole_row or len(owned.sources) > 1 or not owned.certain:
            raise ConsentryError(
                f"the rules' SQL: write the column {'.'.join(use.fields)!r} so that it is plain: {where!r}"
            )
        last = part_at(found, starts.index(use.start), len(use.fields) - 1)
        cuts.append((use.start, found[part_end(found, last) - 1].end, owned.column))
    begin, stop = len(head.encode()), len(raw) - 2
    texts, columns = [], []
    for start, end, column in sorted(cuts):
        texts.append(raw[begin:start].decode())
        columns.append(column)
        begin = end
    texts.append(raw[begin:stop].decode())
    return Predicate(tuple(texts), tuple(columns), any(kind == "SubLink" for kind, _ in analysis.nodes))


def substitute_names(where: str, app: str) -> str:
    """`:app` becomes the app's name as a constant, `:login` SESSION_USER (the login that the database knows)."""
    raw = where.encode()
    out, at = [], 0
    previous_end = -1
    for token in Tokens(where):
        if token.text in (b"app", b"login") and token.start == previous_end and raw[token.start - 1 :][:1] == b":":
            out.append(raw[at : token.start - 1].decode())
            out.append(quote_literal(app) if token.text == b"app" else "(SESSION_USER)::pg_catalog.text")
            at = token.end
        previous_end = token.end if token.text == b":" else -1
    out.append(raw[at:].decode())
    return "".join(out)
