"""What a subverted rewriter would do, attack by attack: changes of an honest text, by what they look for in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

FORM = re.compile(r"\(SELECT _t\.")
_ROWS = r'\("?\w+"?\."placed" OPERATOR\(pg_catalog\.>\) \'2020-01-01\'::pg_catalog\.date\)'
_PHONE = r'\(\(pg_catalog\."right"\(\(("?\w+"?)\."phone"\), 2\)\)\)::text COLLATE pg_catalog\."C"'
_SHOWN = r"\(CASE WHEN (.*?) THEN (\w+\.\"\w+\") ELSE (\(.*?\)::[\w ]+(?:\(\d+\))?) END\)"

# (what, pattern, replacement), on the text of one governed form, parentheses included
IN_FORM: list[tuple[str, str, str | Callable[[re.Match[str]], str]]] = [
    ("the bare relation", r'^.*?FROM (?:ONLY )?("\w+"\."\w+") AS _t.*$', r"\1"),
    ("all of the relation", r'^.*?FROM (?:ONLY )?("\w+"\."\w+") AS _t.*$', r"(SELECT * FROM \1)"),
    ("a view of it", r"^.*$", "public.contacts"),
    ("its toast table", r"^.*$", "pg_toast.pg_toast_1255"),
    ("its statistics", r"^.*$", "pg_catalog.pg_stats"),
    ("the consent state", r"^.*$", "consentry.state_mailer"),
    ("a function", r"^.*$", "peek(1)"),
    ("lateral", r"^", "LATERAL "),
    ("a view in it", r'"public"\."\w+" AS _t', '"public"."contacts" AS _t'),
    ("another relation in it", r'"public"\."\w+" AS _t', '"public"."products" AS _t'),
    ("another schema in it", r'"public"\.("\w+") AS _t', r'"other".\1 AS _t'),
    ("no schema in it", r'"public"\.("\w+") AS _t', r"\1 AS _t"),
    ("ONLY", r"FROM (\"public\"\.\"\w+\" AS _t)", r"FROM ONLY \1"),
    ("no ONLY", r"FROM ONLY ", "FROM "),
    ("a sample", r"(\"public\"\.\"\w+\" AS _t)", r"\1 TABLESAMPLE system (50)"),
    ("a hidden column first", r'SELECT _t\."', 'SELECT _t."card_no", _t."'),
    ("a hidden column last", r" FROM (?=(ONLY )?\"public\"\.\"\w+\" AS _t)", ', _t."card_no" FROM '),
    ("a system column", r" FROM (?=(ONLY )?\"public\"\.\"\w+\" AS _t)", ", _t.xmax FROM "),
    ("all columns", r"^\(SELECT .*? FROM (?=(ONLY )?\"public\"\.\"\w+\" AS _t)", "(SELECT _t.* FROM "),
    ("a hidden column in another's name", r'(SELECT _t\."\w+", )_t\."(\w+)"', r'\1_t."card_no" AS "\2"'),
    ("columns in another order", r'SELECT _t\."(\w+)", (.*?), ', r'SELECT \2, _t."\1", '),
    ("a column twice", r'SELECT (_t\."\w+")', r"SELECT \1, \1"),
    ("a column less", r'SELECT _t\."\w+", ', "SELECT "),
    ("another name", r'AS "phone"', 'AS "name"'),
    ("no name", r' AS "phone"', ""),
    ("no mask", _PHONE, r'\1."phone"'),
    ("a weaker mask", r"\"\), 2\)", '"), 20)'),
    ("a mask of another column", r'\(_t\."phone"\)', '(_t."card_no")'),
    ("another function for a mask", r'pg_catalog\."right"', 'pg_catalog."left"'),
    ("the app's function for a mask", r'pg_catalog\."right"', '"right"'),
    ("no collation", r' COLLATE pg_catalog\."C"', ""),
    ("another type", r"\)::text", ")::varchar"),
    ("no type", r"\)::text", ")"),
    ("the value without consent", r"ELSE \((NULL)\)::", r'ELSE (_t."name")::'),
    ("THEN and ELSE swapped", _SHOWN, r"(CASE WHEN \1 THEN \3 ELSE \2 END)"),
    ("consent not asked", _SHOWN, r"\2"),
    ("consent of all", _SHOWN, r"(CASE WHEN true THEN \2 ELSE \3 END)"),
    ("consent denied", _SHOWN, r"(CASE WHEN NOT (\1) THEN \2 ELSE \3 END)"),
    ("consent for another attribute", r"'(name|email|history)'::", lambda m: f"'{'name' if m[1] != 'name' else 'email'}'::"),
    ("expiry of another attribute", r"->>\) '(name|email)'", lambda m: f"->>) '{'name' if m[1] != 'name' else 'email'}'"),
    ("another app's state", r'"state_\w+"', '"state_partner"'),
    ("all apps' state", r'"state_\w+"', '"state"'),
    ("another app's name", r"\(_c\.\"app\" OPERATOR\(pg_catalog\.=\) '\w+'\)", "(_c.\"app\" OPERATOR(pg_catalog.=) 'partner')"),
    ("no app's name", r"\(_c\.\"app\" OPERATOR\(pg_catalog\.=\) '\w+'\)", "true"),
    ("another subject", r'_c\."subject" OPERATOR\(pg_catalog\.=\) (\w+)\."\w+"', r'_c."subject" OPERATOR(pg_catalog.=) \1."seen"'),
    ("no subject", r'\(_c\."subject" OPERATOR\(pg_catalog\.=\) \w+\."\w+"\)', "true"),
    ("another app's spans", r'"spans_\w+"', '"spans_partner"'),
    ("the bits of another attribute", r'"granted_(name|email)"', lambda m: f'"granted_{"name" if m[1] != "name" else "email"}"'),
    ("another attribute's times", r'"expiring_(name|email)"', lambda m: f'"expiring_{"name" if m[1] != "name" else "email"}"'),
    ("the bits of who withdrew", r'"granted_', '"withdrawn_'),
    ("the bits of who granted", r'"withdrawn_', '"granted_'),
    ("another span", r"OPERATOR\(pg_catalog\.>>\) 7", "OPERATOR(pg_catalog.>>) 6"),
    ("another subject's span", r'(_c\."span" OPERATOR\(pg_catalog\.=\) \(\w+)\."\w+"', r'\1."seen"'),
    ("another place in the span", r"OPERATOR\(pg_catalog\.&\) 127", "OPERATOR(pg_catalog.&) 63"),
    ("the place of the next", r"OPERATOR\(pg_catalog\.\+\) 1\]", "OPERATOR(pg_catalog.+) 2]"),
    ("a bit that is not there", r"pg_catalog\.int4\) OPERATOR\(pg_catalog\.=\) 1", "pg_catalog.int4) OPERATOR(pg_catalog.=) 0"),
    ("the app's function for a bit", r"pg_catalog\.get_bit", "get_bit"),
    ("given for withdrawn", r'"withdrawn"', '"granted"'),
    ("withdrawn for given", r'"granted"', '"withdrawn"'),
    ("what has expired", r"OPERATOR\(pg_catalog\.>\) pg_catalog\.statement", "OPERATOR(pg_catalog.<) pg_catalog.statement"),
    ("a clock that another sets", r"pg_catalog\.statement_timestamp", "statement_timestamp"),
    ("withdrawn is fine", "IS NOT TRUE", "IS TRUE"),
    ("no subject is fine", r"\(_s1\.\"customer_id\" IS NOT NULL\)", "true"),
    ("an inner join", "LEFT JOIN", "JOIN"),
    ("a join to all", "LEFT JOIN", "RIGHT JOIN"),
    ("a join without condition", r"LEFT JOIN (\S+) AS _c ON .*$", r"LEFT JOIN \1 AS _c ON true)"),
    ("no join", r" LEFT JOIN \S+ AS _c ON .*$", ")"),
    ("EXISTS turned", r"\(NOT EXISTS", "(EXISTS"),
    ("EXISTS for all", r"\(EXISTS \(", "(NOT EXISTS ("),
    ("a mapped consent of another app", r"'mail co'|'parcel'", "'other'"),
    ("a mapped consent of any app", r" AND \(_c\.\"partner_code\" OPERATOR\(pg_catalog\.=\) '[\w ]+'\)", ""),
    ("a mapped consent for another attribute", r"'(mail_optin|name|history)'\)", lambda m: f"'{'phone' if m[1] == 'name' else 'name'}')"),
    ("a mapped consent under the attribute's own name", r"'mail_optin'", "'email'"),
    ("a mapped consent for any attribute", r" AND \(_c\.\"field_name\" OPERATOR\(pg_catalog\.=\) '\w+'\)", ""),
    ("a mapped consent of any subject", r'\(_c\."user_id" OPERATOR\(pg_catalog\.=\) \w+\."\w+"\) AND ', ""),
    ("a mapped consent of another subject", r'_c\."user_id" OPERATOR\(pg_catalog\.=\) (\w+)\."id"', r'_c."user_id" OPERATOR(pg_catalog.=) \1."seen"'),
    ("a mapped consent's row, granted or not", r" AND (\(_c\.\"status\"|\(\(_c\.\"status\").*?statement_timestamp\(\)\)\)(?: IS NOT TRUE\))?", ""),
    ("a mapped consent by another status", r"'yes'", "'no'"),
    ("a mapped consent with another column", r'_c\."status"', '_c."field_name"'),
    ("a mapped consent of the row itself", r'_c\."valid_until" IS NULL', '_t."seen" IS NULL'),
    ("a mapped consent that has expired", r"OPERATOR\(pg_catalog\.>\) pg_catalog\.statement_timestamp\(\)\)", "OPERATOR(pg_catalog.<) pg_catalog.statement_timestamp())"),
    ("a mapped consent in another table", r'"public"\."user_consents" AS _c', '"public"."grades" AS _c'),
    ("a mapped consent in the app's own table", r'"public"\."user_consents" AS _c', '"user_consents" AS _c'),
    ("a mapped refusal that is fine", r"IS NOT TRUE\)\)\)", "IS TRUE)))"),
    ("a mapped refusal of rows without answer only", r"\) IS NOT TRUE\)\)\)", ") IS FALSE)))"),
    ("no rows policy", rf" WHERE \({_ROWS[2:]}", ""),
    ("the rows policy turned", r'("placed" OPERATOR\(pg_catalog\.)>', r"\1<"),
    ("another date", "2020-01-01", "1020-01-01"),
    ("the rows policy or all", rf"WHERE ({_ROWS})", r"WHERE (\1 OR true)"),
    ("no fence", r" OFFSET 0", ""),
    ("a fence that skips", r"OFFSET 0", "OFFSET 1"),
    ("a limit", r"\)$", " LIMIT 1)"),
    ("an order", r"\)$", " ORDER BY 1)"),
    ("a lock", r"\)$", " FOR UPDATE)"),
    ("a union", r"\)$", ' UNION ALL SELECT _t.* FROM "public"."customers" AS _t)'),
    ("DISTINCT", r"^\(SELECT", "(SELECT DISTINCT"),
    ("groups", r"\)$", " GROUP BY 1)"),
    ("a CTE", r"^\(SELECT", "(WITH x AS (TABLE public.customers) SELECT"),
    ("a CTE in the relation's name", r'^\((SELECT .*?FROM )"public"\."(\w+)"', r'(WITH "\2" AS (TABLE public.\2) \1"\2"'),
    ("a dangerous function", r"WHERE ", "WHERE pg_catalog.pg_sleep(1) IS NULL AND "),
    ("another's comparison", r" OFFSET 0", ' AND (_t."customer_id" OPERATOR(pg_catalog.=) 99) OFFSET 0'),
    ("a comparison of a hidden column", r" OFFSET 0", " AND (_t.\"total\" OPERATOR(pg_catalog.=) 3) OFFSET 0"),
    ("the document as it is", r'\(\(SELECT \(CASE .* AS _j\)::pg_catalog\.jsonb\) AS "payload"', '_t."payload"'),
    ("the document in another's place", r'_t\."payload"', '_t."bill"'),
    ("a dropped key left", r"ARRAY\['cards', ", "ARRAY["),
    ("no key left out", r"ARRAY\['cards'[^\]]*\]::pg_catalog\.text\[\]", "ARRAY[]::pg_catalog.text[]"),
    ("a member of another key", r"->\) 'phone'", "->) 'email'"),
    ("a member in another key", r"ARRAY\['phone'", "ARRAY['email'"),
    ("what is no object as it is", r"WHEN \(_j\.v IS NOT NULL\) THEN 'null'::pg_catalog\.jsonb", "WHEN (_j.v IS NOT NULL) THEN _j.v"),
    ("an object as it is", r"\(pg_catalog\.jsonb_typeof\(_j\.v\) OPERATOR\(pg_catalog\.=\) 'object'\)", "false"),
    ("elements as they are", r"SELECT (?:(?!SELECT ).)*? AS g", "SELECT _j2.v AS g"),
    ("elements in another order", r"ORDER BY _g2\.n", "ORDER BY _g2.g"),
    ("no mask of a member", r"COALESCE\(pg_catalog\.to_jsonb\(.*?'null'::pg_catalog\.jsonb\)", "_j.v OPERATOR(pg_catalog.->) 'phone'"),
    ("a document's consent is true", r"_j\.c1", "true"),
    ("a document's consent of all", r"AS v, .* AS c1", "AS v, true AS c1"),
    ("the app's function in a document", r"pg_catalog\.jsonb_set_lax", "jsonb_set_lax"),
    ("the app's operator in a document", r"OPERATOR\(pg_catalog\.->\)", "->"),
    ("the app's own condition", r" OFFSET 0", ' AND (_t."note"::int = 1) OFFSET 0'),
]  # fmt: skip

# (what, pattern, replacement), on the whole text
IN_TEXT: list[tuple[str, str, str | Callable[[re.Match[str]], str]]] = [
    ("a second statement", r"$", "; SELECT card_no FROM public.customers"),
    ("a first statement", r"^", "SELECT card_no FROM public.customers; "),
    ("a setting", r"^", "SET row_security = off; "),
    ("EXPLAIN", r"^", "EXPLAIN ANALYZE "),
    ("a comment that hides the rest", r"(\(SELECT _t\.)", r"customers -- \1"),
    ("a union", r"$", " UNION ALL SELECT card_no FROM public.customers"),
    ("FOR UPDATE dropped", r"\bfor update.*", ""),
    ("FOR SHARE", r"\bfor update", "for share"),
    ("SKIP LOCKED dropped", r"skip locked", ""),
    ("FOR UPDATE added", r"$", " FOR UPDATE"),
    ("the app's condition dropped", r"\bwhere [^()]*$", ""),
    ("the app's condition turned", r"\bwhere ([^()]*)$", r"where not (\1)"),
    ("the app's condition or all", r"\bwhere ([^()]*)$", r"where (\1) or true"),
    ("another number", r"\b3\b", "4"),
    ("another text", r"'x%?'", "'%'"),
    ("another parameter", r"\$1\b", "$2"),
    ("another join", r"\bleft join (?=products|\(SELECT _t)", "join "),
    ("an outer join", r"(?<!left )(?<!cross )\bjoin (?=\(SELECT _t\.\"id\")", "full join "),
    ("another condition of a join", r"\bon [a-z.]+ = [a-z.]+", "on true"),
    ("another output", r"^select (name|id)\b", "select email"),
    ("another name of an output", r"^select (name|id)\b", r"select \1 as other"),
    ("one output more", r"^select (?!\*)", "select 1, "),
    ("DISTINCT", r"^select ", "select distinct "),
    ("a dangerous function", r"^select ", "select pg_read_file('/etc/passwd'), "),
    ("another order", r"order by ([\w().]+)$", r"order by \1 desc"),
    ("another limit", r"limit 1", "limit 2"),
    ("a limit dropped", r" limit 1\)", ")"),
    ("UNION for UNION ALL", r"union all", "union"),
    ("another alias", r"\) (?:as )?([a-z])\b(?=[ ,]|$)", r") z"),
    ("another relation written", r"^(update|delete from|insert into) \w+", r"\1 products"),
    ("another schema written", r"^(update|delete from|insert into) (customers|orders)", r"\1 other.customers"),
    ("another column written", r"\bset (name|placed)\b", "set phone"),
    ("another value written", r"set name = 'x'", "set name = card_no"),
    ("a column more written", r'\("id", "name"', '("id", "card_no", "name"'),
    ("the list of columns dropped", r' \("id", "name"[^()]*\)', ""),
    ("the rows policy not in WHERE", rf"where {_ROWS} AND ", "where "),
    ("the rows policy alone gone", rf" WHERE {_ROWS}", ""),
    ("the condition before the policy", rf"where ({_ROWS}) AND \((.*)\)$", r"where \2 AND \1"),
    ("the policy or the condition", rf"where ({_ROWS}) AND ", r"where \1 OR "),
    ("no CASE before the condition", r"CASE WHEN .*? THEN (\(.*\)) ELSE FALSE END", r"\1"),
    ("the CASE lets all in", r"ELSE FALSE END", "ELSE TRUE END"),
    ("the CASE's condition is true", rf"CASE WHEN {_ROWS}", "CASE WHEN true"),
    ("the policy only in the CASE", rf"AND {_ROWS} AND CASE", "AND CASE"),
    ("the rows policy not in ON", rf"\bon {_ROWS} AND ", "on "),
    ("the rows policy or ON", rf"\bon ({_ROWS}) AND ", r"on \1 OR "),
    ("ON for all", rf"\bon ({_ROWS}) AND \(.*?\) when", r"on \1 when"),
    ("WHEN without the rows policy", rf"(by source) and {_ROWS} AND ", r"\1 and "),
    ("WHEN for all rows", rf"(by source) AND {_ROWS} then", r"\1 then"),
    ("WHEN for others", r"when not matched by source", "when matched"),
    ("another thing done", r"then delete", "then update set placed = null"),
    ("other columns inserted", r'insert \("id", "name"\)', 'insert ("id", "email")'),
    ("the row itself", r"\(SELECT _r FROM \(SELECT \"(\w+)\".*?\) AS _r\)(?=[ ,)]|$)", r'"\1"'),
    ("a hidden column in the row", r"\(SELECT _r FROM \(SELECT \"(\w+)\".", r'(SELECT _r FROM (SELECT "\1"."card_no", "\1".'),
    ("another's row", r"\) AS _r\)", ' FROM "public"."customers" AS "c") AS _r)'),
    ("all of * beside it", r'returning "(\w+)"\."id", ', r'returning "\1".*, "\1"."id", '),
    ("the row that is not there", r" WHERE \(\"old\"\.\*\) IS DISTINCT FROM NULL", ""),
    ("the version that is not there", r"CASE WHEN \(\"(old|new)\"\.\*\) IS DISTINCT FROM NULL THEN (.*?) ELSE \(NULL\)::[\w ]+(?:\(\d+\))? END", r"\2"),
    ("another cursor", r"current of c\b", "current of d"),
    ("the raw column in RETURNING", rf'returning (.*?)\({_PHONE}\) AS "phone"', r'returning \1 \2."phone"'),
    ("the raw column in a condition", rf"(set|where) (.*?)\({_PHONE}\)", r"\1 \2 phone"),
    ("all in RETURNING", r"returning .*$", "returning *"),
    ("a row in RETURNING", r"returning .*$", "returning customers"),
    ("RETURNING added", r"^((?:update|delete|insert) .*?)(?<!returning.)$", r"\1 returning *"),
    ("a hidden column in RETURNING", r"returning ", "returning card_no, "),
    ("RETURNING's name dropped", r' AS "phone"(?= *,)', ""),
    ("COPY of the relation", r"^copy \(.*\) to", "copy public.customers to"),
    ("COPY to a file", r"to stdout", "to '/tmp/x'"),
    ("COPY from a program", r"from stdin", "from program 'ls'"),
    ("COPY of other columns", r'^copy \(SELECT "id", "name"', 'copy (SELECT "id", "email"'),
    ("a table of the app's for all", r"(create|into) temp ", r"\1 "),
    ("a governed GROUP BY", r"group by ", "group by card_no, "),
    ("a CTE's rows for another's", r"with (customers|w|gone)\b", "with other"),
    ("MATERIALIZED", r"\bas materialized", "as not materialized"),
    ("RECURSIVE dropped", "with recursive", "with"),
]  # fmt: skip


def attacks(text: str) -> Iterator[tuple[str, str]]:
    """(what, text) of all attacks that apply to an honest text."""
    for start, end in _forms(text):
        form = text[start:end]
        for what, pattern, put in IN_FORM:
            changed = re.sub(pattern, put, form, count=1, flags=re.DOTALL)
            if changed != form:
                yield f"in a form: {what}", text[:start] + changed + text[end:]
    for what, pattern, put in IN_TEXT:
        changed = re.sub(pattern, put, text, count=1, flags=re.DOTALL)
        if changed != text:
            yield f"in the text: {what}", changed


def _forms(text: str) -> list[tuple[int, int]]:
    """Where the governed forms stand."""
    found = []
    for match in FORM.finditer(text):
        end, depth = match.start(), 0
        while True:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
            if depth == 0:
                break
        found.append((match.start(), end))
    return found
