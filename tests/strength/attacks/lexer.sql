-- Texts that a reader other than PostgreSQL's own grammar takes for something else.

-- # sqlglot's dollar quote after a parameter (rewriting.md, evidence 2)
-- params: a | b
select $1||$q$ x $q$, card from people where name<>$1||$q$ , 1 as a -- $q$ and $2 <> ''
-- # the same, the relation between the quotes
-- params: a
select $1||$q$ from products --$q$, card, extra from people
-- # parameter glued to a keyword
-- vacuous: a syntax error since PostgreSQL 15
-- params: 0
select card from people where id>$1or true
-- # number glued to an identifier
-- vacuous: a syntax error since PostgreSQL 15
select 1card, card from people
-- # nested comments
select /* a /* b */ from products */ card /*/**/*/ from /* */ people
-- # comment that looks closed to a flat lexer
select card /* /* */ from products -- */ from people
-- # line comment ends at carriage return in PostgreSQL
select 'x' -- from products{u:0d}, card from people
-- # E string with an escaped quote
select E'\' from products --' || card from people
-- # E string escapes hide the name of a function argument
select E'a\\', card from people -- '
-- # plain string ending in a backslash (standard_conforming_strings)
select 'a\', card, extra from people --'
-- # string continued over lines
select 'a'
'b from products', card from people
-- # comment between the pieces of a continued string
select 'a' -- '
'b' || card from people
-- # U& identifier of a column
select U&"\0063ard" from people
-- # U& identifier of a relation
select * from U&"\0070eople"
-- # U& identifier with its own escape
select U&"!0063ard" UESCAPE '!' from U&"p!0065ople" UESCAPE '!'
-- # U& string continued
select U&'\0041'
'b', card from people
-- # U& schema and relation
select card from U&"\0070ublic".U&"\0070eople"
-- # quoted lower-case names
select "card", "extra" from "public"."people"
-- # folded upper-case names
SELECT CARD, EXTRA FROM PUBLIC.PEOPLE
-- # mixed-case names
SeLeCt CaRd FrOm PuBlIc.PeOpLe
-- # a quoted name with a quote in it as alias
select p.card as "a""b", p.extra from people as p
-- # the alias is a statement
select card as "from products --" from people
-- # an alias equal to a keyword
select card as select, salary as from from people as value
-- # a table alias that is another governed table
select orders.card from people as orders
-- # no blanks at all
select"card"from"people"where"id">0
-- # tabs, form feeds, vertical tabs
select{u:09}card{u:0c}from{u:0b}people
-- # no-break space belongs to the identifier
-- vacuous: there is no such relation
select card from{u:a0}people
-- # homoglyph of the relation (cyrillic)
-- vacuous: there is no such relation
select card from pe{u:43e}ple
-- # byte order mark before the statement
-- vacuous: a syntax error
{u:feff}select card from people
-- # multi-byte characters before the relation
select 'ÄÖÜ€😀ÄÖÜ€😀' as "ä", card from people
-- # multi-byte characters in comments and quotes
select /* €€€€ */ card /* 😀 */, $ä$ß$ä$ from /* ü */ people
-- # dollar quote with a tag of letters beyond ASCII
select $tägß$ from products $tägß$, card from people
-- # dollar quote inside a dollar quote
select $a$ $b$ ' $a$, card, $b$ $a$ $b$ from people
-- # an identifier that holds dollars
select card as a$b$c, salary as a$b$c2 from people as t$1
-- # empty dollar quote
select $$$$, card, $$'$$ from people
-- # bit and hexadecimal strings
select B'1', X'1f', card from people
-- # national string
select N'a', card from people
-- # numbers of PostgreSQL 16
select 0x1F, 1_000, 0b1, 0o7, card from people
-- # an operator that ends in a comment
select 1 +-- from products
1, card from people
-- # an operator with a star and slash
select 1 */**/ 2, card from people
-- # typed cast glued
select card::text::varchar::text||''::text from people
-- # cast by function notation
select text(card), "varchar"(card), bpchar(card) from people
-- # typed constant before a string
select text 'a', card from people
-- # CAST spelled out
select cast(card as text) collate "C" from people
-- # type name that is quoted
select card::"text", card::pg_catalog.text, card::"pg_catalog"."varchar" from people
-- # ARRAY, subscripts and slices
select (array[card, name])[1:1], (tags)[1], tags[1:2] from people
-- # named notation
select jsonb_path_query(target => profile, path => '$.key') from people
-- # VARIADIC
select concat(variadic array[card, note]) from people
-- # operator spelled OPERATOR()
select card operator(pg_catalog.||) '' from people
-- # a column named by its full path
select public.people.card from public.people
-- # the database's name before it
select {db}.public.people.card from {db}.public.people
-- # SQL in a comment hint
/*+ SeqScan(people) */ select /* hint */ card from people
-- # two statements in one
select 1; select card from people
-- # empty statements around
;;; select card from people ;;;
-- # a statement that ends in a comment
select card from people --
-- # a null character is the end for some
-- vacuous: a protocol error
select 1{u:00} , card from people
-- # keyword-like relation alias without AS
select value.card from people value
-- # row constructor alias
select (row(card, name)).* from people
-- # colon inside a slice
select ('{a,b}'::text[])[1:2], card from people
-- # JSON operators that look like others
select profile ->> 'key', profile #>> '{list,0,deep}', profile @> '{"n":1}', profile ? 'key' from people
-- # question mark operators
select profile ?| array['key'], profile ?& array['n'], profile->'key' from people
-- # the operator that sqlglot regenerates wrongly
select profile -> '' , profile - 'n', profile #- '{n}' from people
-- # SIMILAR, LIKE with ESCAPE, regular expression operators
select card from people where card similar to 'z%' escape '!' or card !~~* 'a' or card ~ '^z'
-- # interval and typed literals regenerate wrongly
select born + interval '2 days - 12:34:56', date '2020-01-01' - born from people
-- # AT TIME ZONE, OVERLAPS, special syntax
select (born, born) overlaps (born, interval '1 day'), born::timestamp at time zone 'UTC', extract(day from born), card from people
-- # substring, overlay, trim, position in SQL syntax
select substring(card from 1 for 14), overlay(card placing '' from 99), trim(both ' ' from card), position('z' in card) from people
-- # collation and NULLS FIRST
select card from people order by card collate "C" desc nulls last
-- # IS DISTINCT FROM, IS JSON, IS NORMALIZED
select card from people where card is distinct from 'a' and card is normalized and profile::text is json
-- # ALL, SOME, ANY with arrays
select card from people where 'a' <> all(tags) or card = some(array[card])
-- # TABLE, with a sort
table people order by card
-- # a statement that starts with a parenthesis
((select card from people))
-- # VALUES with a sub-query
values ((select card from people limit 1)), ((select max(extra) from people))
-- # ROWS FROM
select * from rows from (generate_series(1, 2), jsonb_array_elements((select jsonb_agg(card) from people))) as t(a, b)
-- # WITH ORDINALITY
select t.* from people p, unnest(p.tags) with ordinality t
-- # unusual casing of TRUE and unknown types
select card from people where 't'::bool and not ('f')
-- # many parentheses
select ((((((((((((((((((((((card)))))))))))))))))))))) from people
-- # a column alias list that hides the name
select a.c6 from people as a(c1, c2, c3, c4, c5, c6)
-- # multi-line names
select "card"
 from
 "people"
 as
 "p
q"
-- # a percent and a backslash for drivers
select card, '%s', '\%' from people where card like '%\_%' or true
-- # a semicolon within quotes
select ';', card, ";" from (select card, 1 as ";" from people) s
-- # a trailing dollar
select card, 1 as a$ from people
-- # SELECT without a list
select from people where card > 'zqx7m'
-- # SELECT ALL
select all card from people
-- # FETCH FIRST WITH TIES
select card from people order by country fetch first 1 row with ties
-- # LIMIT by sub-query
select card from people limit (select count(*) from people) offset 0
