"""PostgreSQL's own parse tree of a text, and the list of all that the verifier knows to be in one.

libpg_query gives the tree as JSON: `{"ColumnRef": {"fields": [...]}}` where the grammar says "any node", the inner
part alone where it says which. A node or a field that is not listed here is refused: a newer grammar, or a part of
this one that nobody has thought about, is not proved by silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from postgast.native import lib

from proxy.errors import PgError, feature_not_supported

Node = dict[str, Any]

# Where a thing stands in the text is no part of what it means. A string's own quotes are escaped in JSON, so that
# `"location":` cannot be inside of one. One expression a way to stand there: each begins with a literal, which is fast.
_PLACE: Final = re.compile(rb',"location":-?\d+')
_FIRST_PLACE: Final = re.compile(rb'\{"location":-?\d+,?')
_RARE_PLACES: Final = {
    name: (re.compile(rb',"%s":-?\d+' % name), re.compile(rb'\{"%s":-?\d+,?' % name))
    for name in (b"rexpr_list_start", b"rexpr_list_end", b"list_start", b"list_end", b"name_location")
}

SCALAR: Final = "="
NODE: Final = "."
NODES: Final = "*"

# One line a node: `field` is a number, a word or an enumeration; `field.` any node; `field*` a list of nodes;
# `field:Type` a node of that type, without its name around it.
_KNOWN: Final = """
A_ArrayExpr elements*
A_Const ival:Integer fval:Float boolval:Boolean sval:String bsval:BitString isnull
A_Expr kind name* lexpr. rexpr.
A_Indices is_slice lidx. uidx.
A_Indirection arg. indirection*
A_Star
Alias aliasname colnames*
AlterTableCmd subtype name num def. behavior missing_ok
AlterTableStmt relation:RangeVar cmds* objtype missing_ok
BitString bsval
BoolExpr boolop args*
Boolean boolval
BooleanTest arg. booltesttype
CTECycleClause cycle_col_list* cycle_mark_column cycle_mark_value. cycle_mark_default. cycle_path_column
CTESearchClause search_col_list* search_breadth_first search_seq_column
CaseExpr arg. args* defresult.
CaseWhen expr. result.
ClosePortalStmt portalname
CoalesceExpr args*
CollateClause arg. collname*
ColumnDef colname typeName:TypeName compression is_local is_not_null storage_name raw_default. identity collClause:CollateClause constraints*
ColumnRef fields*
CommentStmt objtype object. comment
CommonTableExpr ctename aliascolnames* ctematerialized ctequery. search_clause:CTESearchClause cycle_clause:CTECycleClause
Constraint contype conname deferrable initdeferred is_enforced skip_validation initially_valid is_no_inherit raw_expr. generated_when generated_kind nulls_not_distinct keys* including* options* where_clause. fk_matchtype fk_upd_action fk_del_action
ConstraintsSetStmt constraints* deferred
CopyStmt relation:RangeVar query. attlist* is_from is_program filename options* whereClause.
CreateStmt relation:RangeVar tableElts* inhRelations* constraints* options* oncommit if_not_exists
CreateTableAsStmt query. into:IntoClause objtype is_select_into if_not_exists
CurrentOfExpr cursor_name
DeallocateStmt name isall
DeclareCursorStmt portalname options query.
DefElem defnamespace defname arg. defaction
DeleteStmt relation:RangeVar usingClause* whereClause. returningClause:ReturningClause withClause:WithClause
DiscardStmt target
DropStmt objects* removeType behavior missing_ok concurrent
ExecuteStmt name params*
ExplainStmt query. options*
FetchStmt direction howMany portalname ismove
Float fval
FuncCall funcname* args* agg_order* agg_filter. over:WindowDef agg_within_group agg_star agg_distinct func_variadic funcformat
GroupingFunc args*
GroupingSet kind content*
IndexElem name expr. indexcolname collation* opclass* opclassopts* ordering nulls_ordering
IndexStmt idxname relation:RangeVar accessMethod indexParams* indexIncludingParams* options* whereClause. unique nulls_not_distinct concurrent if_not_exists
InferClause indexElems* whereClause. conname
InsertStmt relation:RangeVar cols* selectStmt. onConflictClause:OnConflictClause returningClause:ReturningClause withClause:WithClause override
Integer ival
IntoClause rel:RangeVar colNames* options* onCommit skipData
JoinExpr jointype isNatural larg. rarg. usingClause* join_using_alias:Alias quals. alias:Alias
JsonAggConstructor output:JsonOutput agg_filter. agg_order* over:WindowDef
JsonArgument val:JsonValueExpr name
JsonArrayAgg constructor:JsonAggConstructor arg:JsonValueExpr absent_on_null
JsonArrayConstructor exprs* output:JsonOutput absent_on_null
JsonArrayQueryConstructor query. output:JsonOutput format:JsonFormat absent_on_null
JsonBehavior btype expr. coerce
JsonFormat format_type encoding
JsonFuncExpr op column_name context_item:JsonValueExpr pathspec. passing* output:JsonOutput on_empty:JsonBehavior on_error:JsonBehavior wrapper quotes
JsonIsPredicate expr. format:JsonFormat item_type unique_keys
JsonKeyValue key. value:JsonValueExpr
JsonObjectAgg constructor:JsonAggConstructor arg:JsonKeyValue absent_on_null unique
JsonObjectConstructor exprs* output:JsonOutput absent_on_null unique
JsonOutput typeName:TypeName returning:JsonReturning
JsonParseExpr expr:JsonValueExpr output:JsonOutput unique_keys
JsonReturning format:JsonFormat typid typmod
JsonScalarExpr expr. output:JsonOutput
JsonSerializeExpr expr:JsonValueExpr output:JsonOutput
JsonTable context_item:JsonValueExpr pathspec:JsonTablePathSpec passing* columns* on_error:JsonBehavior alias:Alias lateral
JsonTableColumn coltype name typeName:TypeName pathspec:JsonTablePathSpec format:JsonFormat wrapper quotes columns* on_empty:JsonBehavior on_error:JsonBehavior
JsonTablePathSpec string. name
JsonValueExpr raw_expr. formatted_expr. format:JsonFormat
List items*
ListenStmt conditionname
LockingClause lockedRels* strength waitPolicy
MergeStmt relation:RangeVar sourceRelation. joinCondition. mergeWhenClauses* returningClause:ReturningClause withClause:WithClause
MergeSupportFunc msftype
MergeWhenClause matchKind commandType override condition. targetList* values*
MinMaxExpr op args*
MultiAssignRef source. colno ncolumns
NamedArgExpr arg. name argnumber
NotifyStmt conditionname payload
NullTest arg. nulltesttype argisrow
OnConflictClause action infer:InferClause targetList* whereClause.
ParamRef number
PrepareStmt name argtypes* query.
RangeFunction lateral ordinality is_rowsfrom functions* alias:Alias coldeflist*
RangeSubselect lateral subquery. alias:Alias
RangeTableFunc lateral docexpr. rowexpr. namespaces* columns* alias:Alias
RangeTableFuncCol colname typeName:TypeName for_ordinality is_not_null colexpr. coldefexpr.
RangeTableSample relation. method* args* repeatable.
RangeVar catalogname schemaname relname inh relpersistence alias:Alias
RenameStmt renameType relationType relation:RangeVar subname newname behavior missing_ok
ResTarget name indirection* val.
ReturningClause options* exprs*
ReturningOption option value
RowExpr args* row_format colnames*
SQLValueFunction op type typmod
SelectStmt distinctClause* intoClause:IntoClause targetList* fromClause* whereClause. groupClause* groupDistinct havingClause. windowClause* valuesLists* sortClause* limitOffset. limitCount. limitOption lockingClause* withClause:WithClause op all larg:SelectStmt rarg:SelectStmt
SetToDefault
SortBy node. sortby_dir sortby_nulls useOp*
String sval
SubLink subLinkType subLinkId testexpr. operName* subselect.
TableLikeClause relation:RangeVar options
TransactionStmt kind options* savepoint_name gid chain
TruncateStmt relations* restart_seqs behavior
TypeCast arg. typeName:TypeName
TypeName names* typeOid setof pct_type typmods* typemod arrayBounds*
UnlistenStmt conditionname
UpdateStmt relation:RangeVar targetList* whereClause. fromClause* returningClause:ReturningClause withClause:WithClause
VacuumRelation relation:RangeVar va_cols*
VacuumStmt options* rels* is_vacuumcmd
VariableSetStmt kind name args* jumble_args is_local
VariableShowStmt name
WindowDef name refname partitionClause* orderClause* frameOptions startOffset. endOffset.
WithClause ctes* recursive
XmlExpr op name named_args* arg_names* args* xmloption indent type typmod
XmlSerialize xmloption expr. typeName:TypeName indent
"""  # noqa: E501 - a table of one line a node


def _table(lines: str) -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    for line in lines.strip().splitlines():
        name, *fields = line.split()
        table[name] = known = {}
        for field in fields:
            if field[-1] in (NODE, NODES):
                known[field[:-1]] = field[-1]
            elif ":" in field:
                key, _, kind = field.partition(":")
                known[key] = kind
            else:
                known[field] = SCALAR
    return table


KNOWN_NODES: Final = _table(_KNOWN)
_CONSTANTS: Final = {name: KNOWN_NODES.get(kind, {}).keys() for name, kind in KNOWN_NODES["A_Const"].items()}


def parse(text: str) -> list[Node]:
    """The statements of a text, each `{"SelectStmt": {...}}`, without places in the text.

    Raises PgError: 42601 where PostgreSQL's grammar does not take it, 0A000 where the tree cannot be read.
    """
    if "\0" in text:
        raise feature_not_supported("a zero byte stands in the statement")
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise feature_not_supported("the statement is not text in the session's encoding") from None
    result = lib.pg_query_parse(raw)
    try:
        if result.error:
            error = result.error.contents
            message = error.message.decode(errors="replace")
            raise PgError(message, "42601", position=error.cursorpos if error.cursorpos > 0 else None)
        tree = result.parse_tree
    finally:
        lib.pg_query_free_parse_result(result)
    try:
        statements = json.loads(_without_places(tree))["stmts"]
        return [statement["stmt"] for statement in statements if statement.get("stmt")]
    except (ValueError, KeyError, RecursionError):
        raise feature_not_supported("the statement's tree cannot be read") from None


def _without_places(tree: bytes) -> bytes:
    for name, (behind, first) in _RARE_PLACES.items():
        if name in tree:
            tree = first.sub(b"{", behind.sub(b"", tree))
    return _FIRST_PLACE.sub(b"{", _PLACE.sub(b"", tree))


def is_constant(node: Node) -> bool:
    """Whether it is a constant of which every field is known: a walk over it would find nothing more."""
    if node.keys() != {"A_Const"}:
        return False
    for name, value in node["A_Const"].items():
        fields = _CONSTANTS.get(name)
        if fields is None or not (value.keys() <= fields if type(value) is dict else not fields):
            return False
    return True


def flattened(expression: Node | None) -> list[Node]:
    """The conjuncts of a condition, nested ANDs taken apart; none for no condition."""
    if expression is None:
        return []
    conjunction = expression.get("BoolExpr")
    if conjunction is None or conjunction["boolop"] != "AND_EXPR":
        return [expression]
    return [part for argument in conjunction["args"] for part in flattened(argument)]


def strings(nodes: list[Node]) -> list[str]:
    """The words of a list of String nodes, such as a name in parts. Raises PgError (0A000) for anything else."""
    try:
        return [node["String"]["sval"] for node in nodes]
    except (KeyError, TypeError):
        raise feature_not_supported("a name in the statement is not made of words") from None


def called(relation: Node) -> str:
    """The alias of a RangeVar, or its relation's name."""
    alias: str = relation.get("alias", {}).get("aliasname", relation["relname"])
    return alias


def column_of(relation: str, column: str) -> Node:
    """The tree of `relation.column`."""
    return {"ColumnRef": {"fields": [{"String": {"sval": relation}}, {"String": {"sval": column}}]}}


def named_in(node: Any, name: str) -> bool:
    """Whether a word of the tree is this name."""
    if isinstance(node, dict):
        return node.get("sval") == name or any(named_in(value, name) for value in node.values())
    return isinstance(node, list) and any(named_in(value, name) for value in node)


def holds(node: Any, kind: str) -> bool:
    """Whether a node of this kind, or a field of this name, stands anywhere in the tree."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if type(part) is dict:
            if kind in part:
                return True
            waiting += part.values()
        elif type(part) is list:
            waiting += part
    return False


def column_references(node: Any, inner: bool = False) -> Iterator[tuple[list[Node], bool]]:
    """The fields of each ColumnRef in the tree, and whether it stands inside of a query of its own."""
    if isinstance(node, dict):
        for kind, value in node.items():
            if kind == "ColumnRef":
                yield value["fields"], inner
            else:
                yield from column_references(value, inner or kind == "subselect")
    elif isinstance(node, list):
        for value in node:
            yield from column_references(value, inner)


def every_part(tree: Any) -> list[Node]:
    """Every node and body of a tree but its constants, in no order."""
    found: list[Node] = []
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if type(part) is dict:
            if "A_Const" in part:
                continue
            found.append(part)
            waiting += part.values()
        elif type(part) is list:
            waiting += part
    return found


def whole_names(parts: Sequence[Node]) -> frozenset[tuple[str, str]]:
    """The (schema, relation) by which columns may be called `schema.relation.column`, where nothing else in the
    statement has the relation's name: without the schema the column is the same.
    """
    meanings: dict[str, set[tuple[str, str] | None]] = {}
    locked = {id(item["RangeVar"]) for node in parts for item in node.get("lockedRels", ())}  # names of what is in FROM
    for node in parts:
        if "relname" in node and "alias" not in node and id(node) not in locked:
            meanings.setdefault(node["relname"], set()).add((node.get("schemaname", ""), node["relname"]))
        for key in ("aliasname", "ctename"):
            if key in node:
                meanings.setdefault(node[key], set()).add(None)
    found = {next(iter(those)) for those in meanings.values() if len(those) == 1}
    return frozenset(pair for pair in found if pair is not None and pair[0] and pair[1] not in _ROWS)


_ROWS = frozenset({"excluded", "old", "new"})  # they mean rows of a write


def shortened(node: Any, names: frozenset[tuple[str, str]]) -> Any:
    """The tree with `relation.column` for `schema.relation.column`; itself where there are no such names."""
    if not names:
        return node
    if isinstance(node, list):
        return [shortened(value, names) for value in node]
    if not isinstance(node, dict):
        return node
    fields = node["ColumnRef"]["fields"] if "ColumnRef" in node else []
    if len(fields) == 3 and (fields[0]["String"]["sval"], fields[1]["String"]["sval"]) in names:
        return {"ColumnRef": {"fields": fields[1:]}}
    return {key: shortened(value, names) for key, value in node.items()}
