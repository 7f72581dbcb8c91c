"""A wrong or subverted rewriter does not get past the verifier.

The honest texts are those of tests/sql and of `honest.py`, as the real Planner rewrites them. Mutants are made of their
trees and of their texts, and `attacks.py` has what an attacker would do on purpose. A tree is given to the verifier as
it is: postgast's deparser crashes on trees that no text has, and prints some mutants as if nothing had changed.

Each mutant must be refused whose tree differs, but for those of EXCUSED, which mean the same. A part of all mutants,
the same in each run, is tried here; all of them in `make nightly`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from proxy.catalog.model import SearchPath
from proxy.errors import PgError
from proxy.rewrite.plan import Planner
from proxy.rewrite.verify import Verifier
from proxy.rewrite.verify.tree import KNOWN_NODES, flattened, parse
from tests.sql.test_pairs import PAIRS
from tests.unit.rewrite.attacks import IN_FORM, IN_TEXT, attacks
from tests.unit.rewrite.honest import Honest, honest_texts
from tests.unit.rewrite.mutants import Corpus, text_mutants, tree_mutants

# Fields of nodes that the grammar never sets in what an app may send, or that the parser sets for later stages only.
NEVER_SET = frozenset(
    """
    ColumnDef.is_not_null ColumnDef.raw_default ColumnDef.identity Constraint.skip_validation Constraint.where_clause
    Constraint.fk_matchtype Constraint.fk_upd_action Constraint.fk_del_action ConstraintsSetStmt.constraints
    CopyStmt.is_program CopyStmt.filename CreateStmt.inhRelations CreateStmt.constraints
    CreateTableAsStmt.is_select_into DefElem.defnamespace IndexElem.indexcolname IndexElem.opclassopts
    JsonArrayAgg.absent_on_null JsonArrayConstructor.output JsonBehavior.coerce JsonFuncExpr.column_name
    JsonObjectAgg.absent_on_null JsonObjectConstructor.absent_on_null JsonParseExpr.output JsonReturning.typid
    JsonReturning.typmod JsonScalarExpr.output JsonTable.lateral JsonValueExpr.formatted_expr NullTest.argisrow
    RangeTableFunc.lateral RangeVar.catalogname RowExpr.colnames SQLValueFunction.type SubLink.subLinkId
    TypeName.typeOid TypeName.setof TypeName.pct_type VariableSetStmt.jumble_args XmlExpr.arg_names XmlExpr.indent
    XmlExpr.type XmlExpr.typmod
    """.split()
)
# Texts that the rewriter refuses and the verifier need not: nothing in them depends on what is refused.
REWRITER_ONLY = {
    "discard temp; create temp table t (a int)": "no name that is looked up follows the change of search_path",
    "set local search_path = other; commit; select 1": "nor here",
    "set constraints orders_customer_id_fkey, public.k deferred": "the server has none of the name",
}


@pytest.fixture(scope="module")
def verifiers(planners: dict[str, Planner]) -> dict[str, Verifier]:
    return {name: planner._verifier for name, planner in planners.items()}


@pytest.fixture(scope="module")
def texts(planners: dict[str, Planner]) -> list[Honest]:
    return honest_texts(planners)


# -- what mutants may pass ------------------------------------------------------------------------------------------


def _compared(node: Any) -> bool:
    """A condition as the rewriter copies it into a form: of the form's columns with values, lists, rows of them, or
    columns that are not the form's; or an equality with a column that is NULL for hidden rows.
    """
    if {"CaseExpr", "ColumnRef"} <= {
        *node.get("A_Expr", {}).get("lexpr", {}),
        *node.get("A_Expr", {}).get("rexpr", {}),
    }:
        return "defresult" not in node["A_Expr"]["lexpr"].get("CaseExpr", {"defresult": None})
    if {"NullTest", "BooleanTest"} & node.keys():
        return _root(next(iter(node.values()))["arg"]) == "_t"
    body = node.get("A_Expr", {})
    if {"String": {"sval": "pg_catalog"}} not in body.get("name", ()) or "lexpr" not in body:
        return False
    left, right = body["lexpr"], body["rexpr"]
    if "RowExpr" in left:
        return all(_root(column) == "_t" for column in left["RowExpr"]["args"])
    values = not {"A_Const", "ParamRef", "A_ArrayExpr", "TypeCast"}.isdisjoint(right)
    return len(left.get("ColumnRef", {}).get("fields", ())) == 2 and (values or not _root(right).startswith("_"))


def _root(node: Any) -> str:
    """What a column's name is qualified by; `_` for what is none."""
    fields = node.get("ColumnRef", {}).get("fields", [{}])
    return str(fields[0].get("String", {}).get("sval", "_")) if len(fields) == 2 else "_"


def _everywhere(tree: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(tree, list):
        return [_everywhere(item, change) for item in tree]
    if isinstance(tree, dict):
        return change({name: _everywhere(value, change) for name, value in tree.items()})
    return tree


_CONDITIONS = {"whereClause", "joinCondition"}


def _without_copies(tree: Any, honest: Honest) -> Any:
    """Leaves out the comparisons that the honest text copied, wherever they stand and however often."""
    copied: list[Any] = []

    def collect(node: dict[str, Any]) -> dict[str, Any]:
        for name in _CONDITIONS:
            copied.extend(part for part in flattened(node.get(name)) if _compared(part))
        return node

    def leave_out(node: dict[str, Any]) -> dict[str, Any]:
        for name in _CONDITIONS & node.keys():
            rest = [part for part in flattened(node[name]) if part not in copied]
            node = {key: value for key, value in node.items() if key != name} | ({name: rest} if rest else {})
        return node

    _everywhere(honest.after, collect)
    return _everywhere(tree, leave_out)


def _without_added_groups(tree: Any, honest: Honest) -> Any:
    """Leaves out of GROUP BY what the app did not write, if it is `relation.column`, or the row, with the key beside it."""
    groups: list[Any] = []

    def collect(node: dict[str, Any]) -> dict[str, Any]:
        groups.extend(node.get("groupClause", ()))
        return node

    def leave_out(node: dict[str, Any]) -> dict[str, Any]:
        if "groupClause" not in node:
            return node
        items = [item for item in node["groupClause"] if item in groups or not _plain(item)]
        return {**node, "groupClause": [item for number, item in enumerate(items) if item not in items[:number]]}

    def _plain(item: Any) -> bool:
        fields = item.get("ColumnRef", {}).get("fields", ())
        words = ["*" if "A_Star" in part else part.get("String", {}).get("sval") for part in fields]
        return len(words) == 2 and words[1] in ("id", "name", "email", "phone", "seen", "xmin", "*")

    _everywhere(honest.before, collect)
    return _everywhere(tree, leave_out)


def _without_any_value(tree: Any, honest: Honest) -> Any:
    """Puts columns in the place of what is any of their values in a group."""
    name = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "any_value"}}]

    def bare(node: dict[str, Any]) -> dict[str, Any]:
        call = node.get("FuncCall", {})
        (argument,) = call["args"] if call.get("funcname") == name else ({},)
        given: dict[str, Any] = argument
        return given if "ColumnRef" in given else node

    return _everywhere(tree, bare)


def _without_new_fences(tree: Any, honest: Honest) -> Any:
    """Leaves out OFFSET 0 of forms, where the honest text has no fence at all."""

    def leave_out(node: dict[str, Any]) -> dict[str, Any]:
        form = "_t" in str(node.get("fromClause")) and node.get("limitOffset") == {"A_Const": {"ival": {}}}
        if not form:
            return node
        return {name: value for name, value in node.items() if name != "limitOffset"} | {
            "limitOption": "LIMIT_OPTION_DEFAULT"
        }

    return tree if "OFFSET 0" in honest.final else _everywhere(tree, leave_out)


def _without_guards(tree: Any, honest: Honest) -> Any:
    """`rows AND CASE WHEN rows THEN condition ELSE FALSE END` as `rows AND condition`, ANDs of ANDs as one."""

    def plain(node: dict[str, Any]) -> dict[str, Any]:
        if "CaseExpr" in node:
            case = node["CaseExpr"]
            if len(case["args"]) == 1 and case.get("defresult") == {"A_Const": {"boolval": {}}} and "arg" not in case:
                when = case["args"][0]["CaseWhen"]
                return {"BoolExpr": {"boolop": "AND_EXPR", "args": [when["expr"], when["result"]]}}
        return node

    def once(node: dict[str, Any]) -> dict[str, Any]:
        for name in _CONDITIONS & node.keys():
            parts = flattened(node[name])
            node = {**node, name: [part for number, part in enumerate(parts) if part not in parts[:number]]}
        return node

    return _everywhere(_everywhere(tree, plain), once)


# Why a mutant may pass though its tree differs, and what is left out of both trees for them to be equal.
EXCUSED: dict[str, Callable[[Any, Honest], Any]] = {
    "a comparison that the app's WHERE makes as well is less, twice or elsewhere in the same form": _without_copies,
    "beside its key, a column of a relation is any value of its group": _without_any_value,
    "beside its key, a relation's other columns make no other groups": _without_added_groups,
    "a fence that nothing needs keeps more in than it must": _without_new_fences,
    "a CASE that nothing needs guards a leakproof condition": _without_guards,
}


def excuse(mutant: Any, honest: Honest) -> str | None:
    for reason, reduced in EXCUSED.items():
        if reduced(mutant, honest) == reduced(honest.after, honest):
            return reason
    return None


class Trial:
    """Gives mutants to the verifier, and counts."""

    def __init__(self, verifiers: dict[str, Verifier]) -> None:
        self.refused: Counter[str] = Counter()
        self.excused: Counter[str] = Counter()
        self.survivors: list[str] = []
        self._verifiers = verifiers

    def give(self, honest: Honest, what: str, mutant: Any) -> None:
        if mutant == honest.after:
            return
        try:
            self._verifiers[honest.app].prove(honest.before, mutant, honest.path, honest.parameters)
        except PgError:
            self.refused[what] += 1
            return
        reason = excuse(mutant, honest)
        if reason is not None:
            self.excused[reason] += 1
        else:
            self.survivors.append(f"{honest.name} ({honest.app}): {what}: {_difference(honest.after, mutant)}")


def _difference(honest: Any, mutant: Any, path: str = "") -> str:
    """Where two trees differ first."""
    if isinstance(honest, dict) and isinstance(mutant, dict):
        for name in [*honest, *(mutant.keys() - honest.keys())]:
            if honest.get(name) != mutant.get(name):
                return _difference(honest.get(name), mutant.get(name), f"{path}.{name}")
    if isinstance(honest, list) and isinstance(mutant, list) and len(honest) == len(mutant):
        for number, (one, other) in enumerate(zip(honest, mutant, strict=True)):
            if one != other:
                return _difference(one, other, f"{path}[{number}]")
    return f"{path}: {honest!s:.200} -> {mutant!s:.200}"


def some(items: Iterator[tuple[str, Any]], part: float, choose: Random) -> Iterator[tuple[str, Any]]:
    return (item for item in items if part >= 1 or choose.random() < part)


# -- tests ----------------------------------------------------------------------------------------------------------


def _trees(texts: list[Honest], trial: Trial, part: float, wide: int) -> None:
    corpus = Corpus.of(tree for text in texts for tree in (text.before, text.after))
    for text in texts:
        share = part if part >= 1 else part * min(1, 2000 / len(text.final))  # long texts do not take all the time
        for what, mutant in tree_mutants(text.after, corpus, Random(text.name), wide, share):
            trial.give(text, what, mutant)


def _texts(texts: list[Honest], trial: Trial, part: float, wide: int) -> None:
    for text in texts:
        for what, mutant in some(text_mutants(text.final, Random(text.name), wide), part, Random(text.sent)):
            try:
                tree = parse(mutant)
            except PgError:
                continue
            trial.give(text, what, tree)


def test_mutants_of_trees(texts: list[Honest], verifiers: dict[str, Verifier]) -> None:
    trial = Trial(verifiers)
    _trees(texts, trial, part=0.06, wide=3)
    assert not trial.survivors, "\n".join(trial.survivors[:20])
    assert trial.refused.total() > 15_000
    assert trial.excused.total() < 100


def test_mutants_of_texts(texts: list[Honest], verifiers: dict[str, Verifier]) -> None:
    trial = Trial(verifiers)
    _texts(texts, trial, part=0.05, wide=2)
    assert not trial.survivors, "\n".join(trial.survivors[:20])
    assert trial.refused.total() > 1_800
    assert trial.excused.total() < 100


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_all_mutants(texts: list[Honest], verifiers: dict[str, Verifier]) -> None:
    trial = Trial(verifiers)
    _trees(texts, trial, part=1, wide=12)
    _texts(texts, trial, part=1, wide=6)
    assert not trial.survivors, "\n".join(trial.survivors[:20])
    assert set(trial.excused) == set(EXCUSED)


def test_attacks(texts: list[Honest], verifiers: dict[str, Verifier]) -> None:
    trial = Trial(verifiers)
    for text in texts:
        for what, attack in attacks(text.final):
            try:
                tree = parse(attack)
            except PgError:
                continue
            trial.give(text, what, tree)
    assert not trial.survivors, "\n".join(trial.survivors[:20])
    assert not trial.excused
    wanted = {f"in a form: {what}" for what, *_ in IN_FORM} | {f"in the text: {what}" for what, *_ in IN_TEXT}
    assert set(trial.refused) == wanted, wanted - set(trial.refused)


def test_every_node_and_field_that_is_known_has_mutants(texts: list[Honest]) -> None:
    corpus = Corpus.of(text.after for text in texts)
    known = {f"{kind}.{field}" for kind, fields in KNOWN_NODES.items() for field in fields}
    assert not known - {f"{kind}.{field}" for kind, field in corpus.values} - NEVER_SET


def test_what_the_app_sent_is_not_what_may_be_sent_on(texts: list[Honest], verifiers: dict[str, Verifier]) -> None:
    rewritten = [text for text in texts if text.before != text.after]
    assert len(rewritten) > 70
    for text in rewritten:
        with pytest.raises(PgError):
            verifiers[text.app].verify(text.sent, text.sent, text.path, text.parameters)


def test_forms_of_one_app_are_none_of_another(
    texts: list[Honest], planners: dict[str, Planner], verifiers: dict[str, Verifier]
) -> None:
    tried = 0
    for text in texts:
        for app in planners.keys() - {text.app}:
            own = planners[app].plan(text.sent.encode(), text.path, text.parameters)
            if own.refusal is None and parse(own.text.decode()) == text.after:
                continue
            tried += 1
            with pytest.raises(PgError):
                verifiers[app].verify(text.sent, text.final, text.path, text.parameters)
    assert tried > 150


def test_what_the_rewriter_refuses_is_refused(planners: dict[str, Planner], verifiers: dict[str, Verifier]) -> None:
    passed = set()
    for pair in PAIRS:
        if pair.outcome == "refused":
            try:
                path = SearchPath(("pg_catalog", *pair.path))
                verifiers[pair.app].verify(pair.sent, pair.sent, path, pair.parameters)
            except PgError:
                continue
            passed.add(pair.sent)
    assert passed == REWRITER_ONLY.keys(), "the verifier must refuse these by itself"
