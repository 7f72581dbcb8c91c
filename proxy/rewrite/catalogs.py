"""Pass: the system catalogs show an app what it has: no dropped column, no relation that is refused to it, no
definition of either. `catalog_forms` makes the texts that stand in their place, once for each app.
"""

from __future__ import annotations

from proxy.rewrite.context import Context
from proxy.rewrite.fence import Care
from proxy.rewrite.qualifiers import shorten_names
from proxy.rewrite.scope import SYSTEM_SCHEMAS, every_node
from proxy.rewrite.select import place, system_columns


def rewrite_catalogs(context: Context) -> None:
    """Puts the app's own view of each system catalog in its place, and guards the functions that print definitions."""
    placed = []
    for reference in context.analysis.references:
        relation = reference.relation
        if relation is None or relation.schema not in SYSTEM_SCHEMAS:
            continue
        if reference.role == "read" and relation.key in context.system.open:
            continue
        form = context.system.form(relation.key, system_columns(context, reference))
        if form is None or reference.role != "read" or reference.sampled:
            raise context.refuse(
                f'permission denied for system relation "{relation.name}"',
                "It holds data or definitions that the rules cannot govern.",
                reference.start,
            )
        if context.fences.care is not Care.NONE or context.calm is not None:  # a view: what is asked of it is outside
            form = form.removesuffix(")") + " OFFSET 0)"
        place(context, reference, form)
        placed.append(reference)
    shorten_names(context, placed)
    for call in context.analysis.functions:
        names = [part["String"]["sval"] for part in call["funcname"]]
        if names[0] not in (names[-1], "pg_catalog") or "args" not in call:
            continue
        start = call.get("location", 0)
        if names[-1] in context.system.arguments:
            _guard_argument(context, start, context.system.arguments[names[-1]])
        elif (texts := context.system.calls.get((names[-1], len(call["args"])))) is not None:
            if any(kind == "FuncCall" and "over" in inner for kind, inner in every_node(call["args"])):
                raise context.unsupported(f"{names[-1]}() of a window function", "Compute it in a sub-query.", start)
            _guard_call(context, start, texts)


def _guard_argument(context: Context, start: int, template: str) -> None:
    """`f(a, b)` becomes `f(guard of a, b)`."""
    (begin, end), *_ = _arguments(context, context.name_end(context.token_at(start)))
    before, after = template.split("{argument}")
    context.edit(begin, begin, before)
    context.edit(end, end, after)


def _guard_call(context: Context, start: int, texts: tuple[str, ...]) -> None:
    """`f(a, b)` becomes a query that has a and b and calls f where the app may know."""
    opened = context.name_end(context.token_at(start))
    arguments = _arguments(context, opened)
    context.edit(start, arguments[0][0], texts[0])
    for (_, end), (begin, _), text in zip(arguments, arguments[1:], texts[1:], strict=False):
        context.edit(end, begin, text)
    context.edit(arguments[-1][1], context.tokens[context.matching(opened)].end, texts[-1])


def _arguments(context: Context, opened: int) -> list[tuple[int, int]]:
    """Where the arguments of a call begin and end in the text; `opened`: the token of its parenthesis."""
    closed = context.matching(opened)
    found, first, depth = [], opened + 1, 0
    for index in range(opened + 1, closed + 1):
        text = context.tokens[index].text
        if index == closed or (depth == 0 and text == b","):
            found.append((context.tokens[first].start, context.tokens[index - 1].end))
            first = index + 1
        depth += (text in (b"(", b"[")) - (text in (b")", b"]"))
    return found
