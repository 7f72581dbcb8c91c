"""Types with their constants, and what can be built of which: one line a production, `<type>` is an expression of that type.

A line that begins with `!` may fail on some values: which row it meets first depends on the plan. `17+`: since PostgreSQL 17.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# name: PostgreSQL's name. All have an order (btree), so that any list of columns can be sorted.
TYPES: dict[str, str] = {
    "int4": "int4",
    "int8": "bigint",
    "numeric": "numeric",
    "float8": "double precision",
    "text": "text",
    "varchar": "varchar",
    "date": "date",
    "timestamp": "timestamp",
    "interval": "interval",
    "bool": "bool",
    "jsonb": "jsonb",
    "uuid": "uuid",
    "bytea": "bytea",
    "inet": "inet",
    "mood": "public.mood",
    "text[]": "text[]",
    "int4[]": "int4[]",
    "int4range": "int4range",
    "daterange": "daterange",
}
OIDS: dict[str, int] = {
    "bool": 16, "bytea": 17, "int8": 20, "int4": 23, "text": 25, "float8": 701, "inet": 869, "text[]": 1009,
    "int4[]": 1007, "varchar": 1043, "date": 1082, "timestamp": 1114, "interval": 1186, "numeric": 1700, "uuid": 2950,
    "jsonb": 3802, "int4range": 3904, "daterange": 3912,
}  # fmt: skip
NUMBERS = ("int4", "int8", "numeric")
STRINGS = ("text", "varchar")

# Constants beside the values that the databases hold.
CONSTANTS: dict[str, tuple[str, ...]] = {
    "int4": ("0", "1", "2", "3", "4", "6", "7", "9", "12", "13", "18", "24", "100", "-1", "170000000", "2147483647"),
    "int8": ("0", "1", "3", "10", "1000", "471100000000000", "4711030000000", "9223372036854775807"),
    "numeric": ("0", "1", "2.50", "471212345678901", "1e3", "-7.1"),
    "float8": ("0", "0.5", "1e10", "-3"),
    "text": ("", "a", "DE", "FR", "IT", "zqx7", "x", "product 1", "%", "***", "1", "key", "2020-01-01", "NULL", "ä€"),
    "varchar": ("", "a note", "DE", "zqx7"),
    "date": ("1970-01-01", "1403-05-05", "1500-01-01", "1501-06-07", "2024-02-29", "infinity"),
    "timestamp": ("1970-01-01 00:00:00", "1450-06-01 12:00:00", "2024-02-29 23:59:59.5"),
    "interval": ("1 day", "3 mons", "-2 hours", "1 year 2 days"),
    "bool": ("true", "false"),
    "jsonb": ("{}", "[]", "null", "1", '"key"', '{"key": "a"}', '{"list": [1]}', '[{"deep": 1}]'),
    "uuid": ("00000000-0000-0000-0000-000000000000", "deadc0de-0000-4000-8000-000000000000"),
    "bytea": ("", "\\x7a717837", "\\x00"),
    "inet": ("10.77.1.1", "10.77.3.0/24", "0.0.0.0/0", "::1"),
    "mood": ("calm", "sad", "glad", "wild"),
    "text[]": ("{}", "{a,b}", '{NULL,"x y"}', "{zqx7}"),
    "int4[]": ("{}", "{1,2,3}", "{3,NULL}", "{170000000}"),
    "int4range": ("empty", "[1,10)", "(,5]", "[3,)", "(,)"),
    "daterange": ("empty", "[1400-01-01,1500-01-01)", "[1403-01-01,)"),
}


@dataclass(frozen=True)
class Production:
    result: str
    parts: tuple[str, ...]  # text and types by turns, beginning with text
    risky: bool
    since: int = 0  # PostgreSQL's version


_SLOT = re.compile(r"<([\w\[\]]+)>")

# JSON_VALUE's first argument is never NULL: PostgreSQL 17 and 18 give a row of NULL what DEFAULT ... ON ERROR gave the row
# before, which depends on the order of rows.
# JSON_SERIALIZE is left out: PostgreSQL 18 ends its process by some, sent to it without a gateway too.
_LINES = """
int4 (<int4> + <int4>)
int4 (<int4> - <int4>)
! int4 (<int4> * <int4>)
! int4 (<int4> / <int4>)
! int4 (<int4> % <int4>)
int4 (- <int4>)
int4 abs(<int4>)
int4 (<int4> & 7)
int4 length(<text>)
int4 char_length(<text>)
int4 octet_length(<text>)
int4 position(<text> in <text>)
int4 strpos(<text>, <text>)
int4 ascii(<text>)
int4 extract(year from <date>)::int4
int4 date_part('month', <date>)::int4
int4 (<date> - <date>)
int4 cardinality(<text[]>)
int4 array_length(<text[]>, 1)
int4 cardinality(<int4[]>)
int4 (<int4[]>)[1]
int4 (<int4[]>)[<int4>]
int4 masklen(<inet>)
int4 family(<inet>)
int4 length(<bytea>)
int4 lower(<int4range>)
int4 upper(<int4range>)
int4 width_bucket(<numeric>, 0, 5000000000000000, 10)
int4 array_position(<text[]>, <text>)
int4 num_nulls(<text>, <int4>, <jsonb>)
int4 hashtext(<text>)
int4 sign(<int4>)::int4
int4 regexp_count(<text>, '[aeiou]')
int4 mod(<int4>, 7)
int4 <bool>::int4
! int4 <text>::int4
! int4 <int8>::int4
! int4 cast(<jsonb> as int4)
! int4 (<jsonb> ->> 'n')::int4
! int4 jsonb_array_length(<jsonb>)
! int4 get_byte(<bytea>, 0)
! int4 (1 / (<int4> - <int4>))
! int4 (1 / (length(<text>) - 14))
int8 (<int8> + <int4>)
int8 (<int8> - <int8>)
! int8 (<int8> * <int4>)
! int8 (<int8> / <int4>)
int8 (<int4>::int8 * 2)
int8 <int4>::int8
int8 abs(<int8>)
int8 round(<numeric>, 0)::int8
int8 (<int8> # 5)
int8 hashtextextended(<text>, 0)
! int8 <text>::int8
! int8 (<jsonb> ->> 'n')::int8
! int8 (1 / (<int8> - <int8>))
numeric (<numeric> + <numeric>)
numeric (<numeric> - <int8>)
numeric (<numeric> * 2)
! numeric (<numeric> / <int4>)
numeric round(<numeric>, 1)
numeric trunc(<numeric>)
numeric <int8>::numeric
numeric <int4>::numeric(20, 2)
numeric abs(<numeric>)
! numeric <text>::numeric
! numeric sqrt(<numeric>)
! numeric (<jsonb> -> 'n')::numeric
numeric div(<numeric>, 7)
numeric extract(epoch from <interval>)
numeric scale(<numeric>)::numeric
float8 <int4>::float8
float8 <numeric>::float8
! float8 <text>::float8
text lower(<text>)
text upper(<text>)
text initcap(<text>)
text (<text> || <text>)
text (<text> || <int4>)
text concat(<text>, <int4>, <date>)
text concat_ws('-', <text>, <text>)
text substr(<text>, 2)
text substring(<text> from 1 for 3)
text substring(<text> from '[a-z]+')
text left(<text>, 4)
text right(<text>, 3)
text trim(both 'z' from <text>)
text btrim(<text>)
text ltrim(<text>, 'zqx7')
text replace(<text>, <text>, '-')
text overlay(<text> placing '_' from 2 for 2)
text split_part(<text>, '@', 1)
text reverse(<text>)
text md5(<text>)
text lpad(<text>, 20, '*')
text translate(<text>, 'abc', 'xyz')
text regexp_replace(<text>, '[0-9]+', '#', 'g')
text regexp_substr(<text>, '[a-z]+', 1, 1)
text (regexp_match(<text>, 'z(.)x'))[1]
text format('%s-%s', <text>, <int4>)
text format('%L', <text>)
text quote_literal(<text>)
text quote_nullable(<text>)
text <int4>::text
text <int8>::text
text <numeric>::text
text <date>::text
text <timestamp>::text
text <bool>::text
text <jsonb>::text
text <uuid>::text
text <bytea>::text
text <inet>::text
text <mood>::text
text <text[]>::text
text <varchar>::text
text cast(<int4range> as text)
text to_char(<date>, 'YYYY-MM')
text to_char(<int8>, 'FM999,999,999,999,999')
text to_char(<numeric>, '9.99EEEE')
text host(<inet>)
text abbrev(<inet>)
text encode(<bytea>, 'hex')
text encode(<bytea>, 'base64')
text array_to_string(<text[]>, ',')
text (<text[]>)[1]
text (<text[]>)[<int4>]
text (<jsonb> ->> 'key')
text (<jsonb> #>> '{list,0,deep}')
text jsonb_typeof(<jsonb>)
text jsonb_pretty(<jsonb>)
text jsonb_extract_path_text(<jsonb>, 'key')
text pg_typeof(<text>)::text
text pg_typeof(<jsonb>)::text
text chr(65 + abs(<int4>) % 26)
text sha256(<bytea>)::text
text (<text> collate "C")
text <text>::varchar(5)::text
text <text>::char(8)::text
! text repeat(<text>, <int4> % 3)
! text chr(<int4>)
! text convert_from(<bytea>, 'UTF8')
! text substring(<text>, 1, <int4>)
varchar <text>::varchar(10)
varchar <text>::varchar
date (<date> + <int4> % 100)
date (<date> - 3)
date <timestamp>::date
date date_trunc('month', <date>)::date
date make_date(1400 + abs(<int4>) % 100, 1, 1)
! date <text>::date
! date (<date> + <int4>)
! date to_date(<text>, 'YYYY-MM-DD')
timestamp <date>::timestamp
timestamp (<date> + <interval>)
timestamp date_trunc('year', <date>::timestamp)
timestamp (<date> + time '12:00')
! timestamp <text>::timestamp
interval (<timestamp> - <timestamp>)
interval age(<timestamp>, <timestamp>)
interval make_interval(days => abs(<int4>) % 1000)
interval (<interval> * 2)
interval ((<int4> % 100) * interval '1 day')
interval justify_days(<interval>)
! interval <text>::interval
jsonb to_jsonb(<text>)
jsonb to_jsonb(<int4>)
jsonb to_jsonb(<date>)
jsonb to_jsonb(<text[]>)
jsonb jsonb_build_object('a', <text>, 'b', <int8>)
jsonb jsonb_build_array(<text>, <int4>, <jsonb>)
jsonb (<jsonb> -> 'list')
jsonb (<jsonb> -> 'list' -> 0)
jsonb (<jsonb> #> '{list,0}')
jsonb (<jsonb>)['key']
jsonb (<jsonb> -> 0)
jsonb (<jsonb> || <jsonb>)
jsonb jsonb_strip_nulls(<jsonb>)
jsonb jsonb_path_query_first(<jsonb>, '$.list[*].deep')
jsonb jsonb_path_query_array(<jsonb>, 'strict $.**.deep', silent => true)
! jsonb (<jsonb> - 'key')
! jsonb (<jsonb> - 0)
! jsonb jsonb_set(<jsonb>, '{key}', to_jsonb(<int4>))
! jsonb <text>::jsonb
! jsonb jsonb_insert(<jsonb>, '{list,0}', '1')
uuid md5(<text>)::uuid
! uuid <text>::uuid
bytea decode(md5(<text>), 'hex')
bytea convert_to(<text>, 'UTF8')
bytea (<bytea> || <bytea>)
bytea substring(<bytea> from 1 for 4)
bytea sha256(<bytea>)
! bytea <text>::bytea
! bytea decode(<text>, 'base64')
inet set_masklen(<inet>, 16)
inet network(<inet>)::inet
inet (<inet> & inet '255.255.0.0')
! inet <text>::inet
! inet (<inet> + <int4>)
! mood <text>::public.mood
! mood (<text> :: text) :: public.mood
text[] string_to_array(<text>, 'q')
text[] array[<text>, <text>]
text[] (<text[]> || <text>)
text[] array_append(<text[]>, <text>)
text[] array_remove(<text[]>, <text>)
text[] array_replace(<text[]>, <text>, 'r')
text[] (<text[]>)[1:1]
text[] array_cat(<text[]>, <text[]>)
text[] regexp_split_to_array(<text>, '[xyz]')
text[] regexp_match(<text>, '(z.)(x.)')
! text[] <text>::text[]
int4[] array[<int4>, <int4>]
int4[] (<int4[]> || <int4>)
int4[] array_fill(<int4>, array[2])
int4range int4range(<int4> % 10, 20)
int4range int4range(1, 5 + abs(<int4> % 10), '[]')
! int4range int4range(<int4>, <int4>)
! int4range (<int4range> + <int4range>)
int4range (<int4range> * <int4range>)
daterange daterange(null, <date>)
! daterange daterange(<date>, <date>)
bool (<text> like <text>)
bool (<text> not like 'z%')
bool (<text> ilike 'Z%')
bool (<text> ~ 'z[a-z]x')
bool (<text> !~* '^[0-9]')
! bool (<text> ~ <text>)
bool (<text> similar to '(a|z)%')
bool (<text> ^@ 'zqx')
bool starts_with(<text>, 'z')
bool regexp_like(<text>, '[aeiou]{2}')
bool (<text[]> @> <text[]>)
bool (<text[]> <@ <text[]>)
bool (<text[]> && <text[]>)
bool (<text> = any (<text[]>))
bool (<int4> = any (<int4[]>))
bool (<int4> <> all (<int4[]>))
bool (<text> like any (<text[]>))
bool (<jsonb> @> <jsonb>)
bool (<jsonb> <@ <jsonb>)
bool (<jsonb> ? 'key')
bool (<jsonb> ?| array['key', 'n'])
bool (<jsonb> ?& array['key', 'n'])
bool (<jsonb> @? '$.list[*].deep')
bool (<jsonb> @@ '$.n > 3')
bool jsonb_path_exists(<jsonb>, '$.key')
bool jsonb_path_match(<jsonb>, 'exists($.list)', silent => true)
16+ bool (<text> is json object)
16+ bool (<text> is json)
bool (<inet> << inet '10.0.0.0/8')
bool (<inet> >>= <inet>)
bool (<int4range> @> <int4>)
bool (<int4range> && <int4range>)
bool (<int4range> -|- <int4range>)
bool isempty(<int4range>)
bool (<daterange> @> <date>)
bool ((<date>, <date>) overlaps (<date>, <date>))
bool isfinite(<date>)
bool (<bytea> like '\\x7a%'::bytea)
! bool <text>::bool
bool <int4>::bool
bool (<text> is normalized)
16+ bool (<text> is not json array)
17+ bool json_exists(<jsonb>, '$.key')
17+ text json_value(<jsonb>, '$.key' returning text null on empty null on error)
17+ text json_query(<jsonb>, '$.list' with wrapper)::text
17+ text json_scalar(<text>)::text
17+ int4 json_value(coalesce(<jsonb>, '{}'), '$.n' returning int4 default 3 on empty default 4 on error)
16+ text json_object('a': <text>, 'b' value <int4> absent on null)::text
16+ text json_array(<text>, <int4> null on null)::text
16+ jsonb json_array(<text>, <jsonb> returning jsonb)
text normalize(<text>)
text (collation for (<text>))
text substring(<text> similar '%#"x#"%' escape '#')
text (row(<text>, <int4>))::text
text row_to_json(row(<text>, <int4>))::text
int4 (row(<int4>, <text>)).f1
int4 num_nonnulls(<text>, <date>)
timestamp (<timestamp> at time zone 'UTC' at time zone 'UTC')
text[] array(select <text>)
"""

# What aggregates of an expression of the group there are; the same slots. `A` stands for one random type.
_AGGREGATES = """
int8 count(*)
int8 count(<A>)
int8 count(distinct <A>)
int8 sum(<int4>)
numeric sum(<int8>)
numeric sum(<numeric>)
numeric avg(<int4>)
numeric round(avg(<numeric>), 4)
numeric round(stddev(<int4>), 4)
numeric round(variance(<int8>), 4)
int4 max(<int4>)
int4 min(<int4>)
int8 max(<int8>)
numeric min(<numeric>)
text max(<text>)
text min(<text>)
text max(<text>)
date max(<date>)
date min(<date>)
inet max(<inet>)
mood max(<mood>)
bool bool_and(<bool>)
bool bool_or(<bool>)
bool every(<bool>)
int4 bit_xor(<int4>)
text[] max(<text[]>)
int4 mode() within group (order by <int4>)
text mode() within group (order by <text>)
int4 percentile_disc(0.5) within group (order by <int4>)
text percentile_disc(0.3) within group (order by <text>)
int8 rank(5) within group (order by <int4>)
int8 dense_rank('m') within group (order by <text>)
"""

# Those whose order matters: the argument orders itself.
ORDERED_AGGREGATES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "text": (("string_agg(", "text", ", '|'"), ("array_to_string(array_agg(", "int4", "")),
    "text[]": (("array_agg(", "text", ""),),
    "int4[]": (("array_agg(", "int4", ""),),
    "jsonb": (("jsonb_agg(", "text", ""), ("jsonb_agg(", "int8", ""), ("jsonb_agg(", "jsonb", "")),
}


def _productions(lines: str) -> dict[str, list[Production]]:
    found: dict[str, list[Production]] = {}
    for line in lines.strip().splitlines():
        since, text = line.split("+ ", 1) if line[:1].isdigit() else ("0", line)
        risky = text.startswith("! ")
        result, text = text.removeprefix("! ").split(" ", 1)
        parts = tuple(part.strip() for part in _SLOT.split(text))
        found.setdefault(result, []).append(Production(result, parts, risky, int(since)))
    return found


PRODUCTIONS = _productions(_LINES)
AGGREGATES = _productions(_AGGREGATES)


def comparable(first: str, second: str) -> bool:
    """Whether columns of these types can be joined by `=`."""
    return first == second or all(t in NUMBERS for t in (first, second)) or all(t in STRINGS for t in (first, second))
