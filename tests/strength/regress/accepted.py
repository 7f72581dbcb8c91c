"""What may differ, and be refused, when PostgreSQL's own tests are played through the gateway, each with its reason.

Beside these stand the kinds of README.md, which are counted (`compare.DESIGNED`). What is not here fails the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Accepted:
    """`file` (every one where empty), and patterns that are found in the statement and in what is reported of it."""

    reason: str
    file: str = ""
    statement: str = ""
    how: str = ""

    def covers(self, file: str, text: str, how: str) -> bool:
        return (
            self.file in ("", file)
            and re.search(self.statement, text) is not None
            and re.search(self.how, how) is not None
        )


DIFFERENCES = (
    Accepted(
        "a whole row of a governed relation is a record, and no row of a parent's type for a function",
        file="inherit",
        statement=r"p2text\(c1\.\*\)",
        how="cannot cast type record to p2",
    ),
    Accepted(
        "the session's role has rights on some columns; a governed form reads all that are shown (refusals.md)",
        file="inherit",
        statement="permtest_parent",
        how="C=42501 M=permission denied for table permtest_parent",
    ),
    Accepted(
        "the definition of a view that hides something is not shown",
        file="aggregates",
        statement="pg_get_viewdef",
        how=r"row: .* \| b'\\x00\\x01\\xff\\xff\\xff\\xff'",
    ),
    Accepted(
        "an error either way: the server finds no bare system column in a JOIN of tables, and two in one of sub-queries",
        file="join",
        statement="select ctid from",
        how="C=42703 .* C=42702",
    ),
    Accepted(
        "how large a relation is that holds hidden values says something of them: the app has null (`hides_storage`)",
        statement=r"pg_relation_size\('(large_tuple_test|test_temp)'",
        how=r"row: .* \| b'\\x00\\x01\\xff\\xff\\xff\\xff'",
    ),
)

REFUSALS = (
    Accepted("the server's files", how="COPY to or from a file or program is not allowed"),
    Accepted(
        "who reads, or the server's administration (proxy/rewrite/allowed.py)",
        how='permission denied to set parameter "(role|session_authorization|session_replication_role|'
        'allow_in_place_tablespaces|debug_parallel_query)"',
    ),
    Accepted("values of others", file="create_index", how='permission denied for system relation "pg_statistic"'),
    Accepted(
        "a write to a system catalog", file="merge", how='permission denied for (system )?relation "(pg_class|classv)"'
    ),
    Accepted(
        "not built: a temp table that inherits, is partitioned, of a type, or has a foreign key",
        how="a temp table (that inherits, is partitioned or is of a type|with a foreign key) is not supported",
    ),
    Accepted(
        "not built: temp views, which would keep a governed form past a change of the rules",
        how='42P01 relation "(zv1|foo_v|joinview|voo|shipped_view|view_a|v_cycle[12]|v_search|vsubdepartment)" does not exist',
    ),
    Accepted(
        "what triggers and rules of a view do is not governed; a view that the rules do not list is read, not written",
        how='permission denied (for|to write) (relation|view) "?(city_view|european_city_view|upview|bug18634v|sj)"?$',
    ),
    Accepted(
        "a plan says how many rows there are that the row policies hide (rewriting.md)",
        how=r"EXPLAIN (EXECUTE )?would count rows",
    ),
    Accepted(
        "the type of a governed relation's rows is not given to casts",
        file="inherit",
        how="permission denied for type (base|derived|more_derived)",
    ),
    Accepted(
        "a plan of a view says how it is made",
        file="aggregates",
        how='EXPLAIN would show the definition of view "v_pagg_test"',
    ),
    Accepted(
        "a trigger or a rule may have made the value", how=r"0A000 excluded\.[bv] may hold what the app did not send"
    ),
)
