"""What one app gets of each column, and why: the compiled table, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.table import AppPolicy, Part


@dataclass(frozen=True, slots=True)
class Line:
    """One column of a governed relation, or (`column` is empty) one row policy of it."""

    table: str
    column: str
    attribute: str | None
    treatment: str
    write: str
    because: str  # the policy with its file and line, or what decided instead
    path: str = ""  # of a part of the column's document


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
            write = "yes" if column.changeable else "in new rows" if column.treatment.writable else "no"
            paths = ("", *(path.path for path in column.paths))
            for path, part in zip(paths, column.parts, strict=True):
                line = Line(name, column.name, part.attribute, str(part.treatment), write, _because(part), path)
                lines.append(line)
    return lines


def _because(part: Part) -> str:
    if part.treatment.policy:
        return str(part.treatment.policy)
    return "open" if part.attribute is None else "defaults"
