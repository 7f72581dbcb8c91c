"""What `check` says of logins that may read some columns of a governed relation, but not all that its form reads.

The governed form reads every column that the app sees, whatever the statement asks: such a login is refused each read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from proxy.policy.table import AppPolicy
from proxy.rewrite.forms import Form

# $1: logins; $2 to $5, a row for each column: its relation, its number, whether the form reads it, whether the login
# has it for the ledger's sake. Rows: who may read something of a relation, but not all that the form reads of it.
MISSING_COLUMNS = """
SELECT p.login, p.relation,
       pg_catalog.array_agg(p.number ORDER BY p.number) FILTER (WHERE p.used AND NOT p.may) AS numbers
FROM (SELECT r.rolname::text AS login, c.*,
             pg_catalog.has_column_privilege(r.oid, c.relation, c.number, 'SELECT') AS may
      FROM pg_catalog.unnest($1::pg_catalog.text[]) AS l (name)
      JOIN pg_catalog.pg_roles AS r ON r.rolname = l.name
      CROSS JOIN ROWS FROM (pg_catalog.unnest($2::pg_catalog.oid[]), pg_catalog.unnest($3::pg_catalog.int2[]),
                            pg_catalog.unnest($4::pg_catalog.bool[]), pg_catalog.unnest($5::pg_catalog.bool[]))
                 AS c (relation, number, used, given)) AS p
GROUP BY p.login, p.relation
HAVING pg_catalog.bool_or(p.may AND NOT p.given) AND pg_catalog.bool_or(p.used AND NOT p.may)
ORDER BY p.relation, p.login
"""


def columns_read(
    forms: Iterable[Form], given: Mapping[tuple[str, str], Collection[str]]
) -> tuple[list[int], list[int], list[bool], list[bool]]:
    """The columns of all relations that are not read as they are: the arguments of MISSING_COLUMNS after the logins.

    `given`: the columns that `consent setup` grants to the app's logins.
    """
    rows = []
    for form in forms:
        used, extra = form.columns_asked | form.columns_given, given.get(form.table.key, ())
        columns = () if form.table.plain else form.relation.columns
        rows += [(form.relation.oid, c.number, c.name in used, c.name in extra) for c in columns if c.number > 0]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows]


def missing(app: AppPolicy, rows: Iterable[tuple[str, int, Sequence[int]]], forms: Iterable[Form]) -> Iterator[str]:
    """A warning for each row of MISSING_COLUMNS."""
    by_oid = {form.relation.oid: form for form in forms}
    for login, oid, numbers in rows:
        form = by_oid[oid]
        names = [column.name for column in form.relation.columns if column.number in numbers]
        listed = ", ".join(names)
        remedy = f"grant it SELECT ({listed})"
        if form.columns_asked.isdisjoint(names):
            remedy += ", or let the rules drop these columns for the app"
        yield (
            f"login {login} of app {app.name} may read some columns of {form.table.schema}.{form.table.name}, but not "
            f"{listed}, which every read of the table reads: all are refused; {remedy}"
        )
