"""The view `consentry.preferences`: what was decided, by subject, app and attribute. Each app has its own rows."""

from __future__ import annotations

from typing import Final

from proxy.consent.mapped import ConsentMapping, mapping_of
from proxy.consent.own_view import OwnView
from proxy.policy.names import quote_identifier
from proxy.policy.preferences import COLUMNS, PREFERENCES
from proxy.policy.table import CompiledRules
from proxy.rewrite.lex import quote_literal

# Whoever asks gets the apps of which it may read the state anyway; a login that comes to the database by itself too.
BUILT_IN: Final = """
SELECT s.subject, s.app, a.attribute, a.granted,
       (SELECT max(e.at) FROM consentry.events e
        WHERE e.subject = s.subject AND e.app = s.app AND e.attribute = a.attribute) AS since, a.expires
FROM consentry.state s CROSS JOIN LATERAL (
    SELECT g.attribute, true AS granted, NULL::timestamptz AS expires FROM unnest(s.granted) AS g (attribute)
    UNION ALL SELECT w.attribute, false, NULL FROM unnest(s.withdrawn) AS w (attribute)
    UNION ALL SELECT e.attribute, e.until::timestamptz > statement_timestamp(), e.until::timestamptz
              FROM jsonb_each_text(s.expiring) AS e (attribute, until)) AS a
WHERE has_table_privilege(s.tableoid, 'SELECT')"""


def mapped(mapping: ConsentMapping) -> str:
    """The same of a consent table of the database's own: what each app asks consent for, by what the table calls it."""
    store = mapping.store
    names = [
        (mapping.ids[app], app, store.called(attribute), attribute, mode == "opt_out")
        for app, asked in mapping.asked.items()
        for attribute, mode in asked.items()
    ]
    rows = ", ".join(f"({', '.join(_literal(value) for value in name)})" for name in sorted(names))
    none = "SELECT NULL::text, NULL::text, NULL::text, NULL::text, NULL::boolean WHERE false"
    called = f"{quote_identifier(store.attribute)}::text" if store.attribute is not None else "NULL::text"
    same = "AND n.called = r.called" if store.attribute is not None else ""
    since = f"({store.since})::timestamptz" if store.since else "NULL::timestamptz"
    expires = f"nullif(({store.expires})::timestamptz, 'infinity')" if store.expires else "NULL::timestamptz"
    return f"""
SELECT r.subject, n.app, n.attribute,
       CASE WHEN n.opt_out THEN bool_and(r.granted) ELSE bool_or(r.granted) END AS granted,
       max(r.since) AS since, max(r.expires) AS expires
FROM (SELECT {quote_identifier(store.subject)} AS subject, {quote_identifier(store.app)}::text AS app,
             {called} AS called,
             ({store.granted}) IS TRUE AS granted, {since} AS since, {expires} AS expires
      FROM {mapping.relation}) AS r
JOIN ({f"VALUES {rows}" if rows else none}) AS n (called_app, app, called, attribute, opt_out)
     ON n.called_app = r.app {same}
GROUP BY r.subject, n.app, n.attribute, n.opt_out"""


def view(rules: CompiledRules) -> OwnView:
    """The view, by where the rules keep consent."""
    mapping = mapping_of(rules)
    return view_of(BUILT_IN if mapping is None else mapped(mapping))


def view_of(query: str) -> OwnView:
    """The view of one such query."""
    return OwnView(PREFERENCES, COLUMNS, query, "What was decided about consent, by subject, app and attribute")


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{quote_literal(value)}::text"
