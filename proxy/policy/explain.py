"""What one app gets of each column, and why: the compiled table, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.table import AppPolicy


@dataclass(frozen=True, slots=True)
class Line:
    """One column of a governed relation, or (`column` is empty) one row policy of it."""

    table: str
    column: str
    attribute: str | None
    treatment: str
    write: str
    because: str  # the policy with its file and line, or what decided instead


def explain_app(app: AppPolicy) -> list[Line]:
    """All that the rules say for `app`, relations and columns in the database's order of names and numbers."""
    lines = []
    for key in sorted(app.tables):
        table = app.tables[key]
        name = ".".join(key)
        for row in table.rows:
            what = [f"consent to {attribute}" for attribute in row.consent] + ([row.where] if row.where else [])
            lines.append(Line(name, "", None, f"rows only where {' and '.join(what)}", "", str(row.policy)))
        for column in table.columns:
            treatment = column.treatment
            because = str(treatment.policy) if treatment.policy else "open" if column.attribute is None else "defaults"
            write = "yes" if treatment.writable else "no"
            lines.append(Line(name, column.name, column.attribute, str(treatment), write, because))
    return lines
