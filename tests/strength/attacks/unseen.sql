-- Functions of the database's own that no word of the statement calls.

-- # a domain's check
select 3::told
-- # a domain's check, by CAST and schema
select cast(id as public.told) from people where id = 3
-- # a domain over the domain
select 3::told_again
-- # a typed literal of a domain
select told '3'
-- # an array of a domain
select '{3,5}'::told[]
-- # a field of a composite type
select row(3)::holder
-- # a composite from JSON
select json_populate_record(null::holder, '{"id": 3}')
-- # a column of json_to_record
select * from json_to_record('{"id": 3}') as t(id told)
-- # a column of JSON_TABLE
select * from json_table('[3]', '$[*]' columns (id told path '$'))
-- # a column of XMLTABLE
-- vacuous: made by the base type's input
select * from xmltable('/a' passing '<a>3</a>' columns id told path '.')
-- # RETURNING of JSON_VALUE
select json_value('3', '$' returning told)
-- # a column of a temp table
create temp table unseen (id told); insert into unseen values (3)
-- # COPY into a column of a domain
-- session
create temp table unseen (id told)
-- next
-- copy: 3
copy unseen from stdin
-- # pg_input_is_valid
select pg_input_is_valid('3', 'told')
-- # pg_input_is_valid of another spelling
select pg_input_is_valid('3', 'public . "told"'), * from pg_input_error_info('{3}', 'told []')
-- # pg_input_is_valid of a computed name
select pg_input_is_valid('3', 'to' || 'ld')
-- # PREPARE with a domain
prepare unseen(told) as select $1; execute unseen(3)
-- # an explicit cast's function
select 3::level
-- # a cast of the function notation
-- vacuous: only casts without a function are written so
select level(3)
-- # a cast by assignment
create temp table unseen (l level); insert into unseen values (3)
-- # a cast by assignment, made from the type of a query
create temp table unseen as select null::level as l; insert into unseen values (3)
-- # an implicit cast to a built-in function
select abs('3'::level)
-- # an implicit cast to a built-in operator
select '3'::level + 1
-- # an overloaded operator
select '3'::level = '5'::level
-- # an overloaded operator in IN
select '3'::level in ('3', '5')
-- # an overloaded operator in CASE
select case '3'::level when '5' then 1 end
-- # an overloaded operator in ANY of a sub-query
select '3'::level = any (select '5'::level)
-- # an overloaded operator in NULLIF, IS DISTINCT FROM
select nullif('3'::level, '5'), '3'::level is distinct from '5'
-- # an overloaded operator in JOIN USING
select * from (select '3'::level as l) a join (select '3'::level as l) b using (l)
-- # an overloaded operator in NATURAL JOIN
select * from (select '3'::level as l) a natural join (select '3'::level as l) b
-- # an overloaded operator with a constant without type
-- vacuous: int + int is exact
select 3 + '5'
-- # an overloaded operator with a constant that only it takes
select 3 <-> '5'
-- # an overloaded operator with NULL
select 3 <-> null
-- # an overloaded operator with a parameter
-- params: 5
select 3 <-> $1
-- # an overloaded operator with a parameter in a row
-- vacuous: rows take comparisons only
select (3, 1) operator(public.<->) ('5', '5')
-- # an overloaded operator with a constant of a collation
select 3 <-> ('5' collate "C")
-- # an overloaded operator by its schema
select 3 operator(public.+) '5'
-- # an overloaded operator over ANY
select 3 <-> any ('{5}')
-- # ORDER BY USING
-- vacuous: no ordering operator
select * from (values ('3'::level), ('5')) v(l) order by l using operator(public.=)
-- # an overloaded function
select initcap('3'::level)
-- # an overloaded function with a constant without type
-- vacuous: the preferred type of numbers wins
select sign('3')
-- # an overloaded function with a parameter
-- vacuous: the preferred type of numbers wins
-- params: 3
select sign($1)
-- # an overloaded function with VARIADIC
select round(3, 'a')
-- # an overloaded function with a VARIADIC array
select round(3, variadic '{a}')
-- # an overloaded function with names
select round(person => 3, variadic rest => '{}')
-- # an overloaded function over a sub-query
select initcap((select '3'::level))
-- # an overloaded function in the function notation
select (l).initcap from (select '3'::level as l) s
-- # an overloaded aggregate
select max(l) from (values ('3'::level)) v(l)
-- # an overloaded aggregate as a window function
select max(l) over () from (values ('3'::level)) v(l)
-- # an overloaded function over a temp table
create temp table unseen as select '3'::level as l; select initcap(l) from unseen
-- # an overloaded function over a temp table, later
-- session
create temp table unseen as select '3'::level as l
-- next
select initcap(l), l = l, l + 1 from unseen
-- # an overloaded function over enum_range
select initcap(l) from unnest(enum_range(null::level)) l
-- # an operator class of an index
create temp table unseen (a text); insert into unseen values ('a'), ('b'); create index on unseen (a told_ops)
-- # an operator class by its schema
create temp table unseen (a text); insert into unseen values ('a'), ('b'); create index on unseen (a public.told_ops)
-- # an operator class in a constraint
create temp table unseen (a text, exclude using btree (a public.told_ops with =)); insert into unseen values ('a'), ('b')
-- # an operator class of a partition key
-- vacuous: nothing is compared
create temp table unseen (a text) partition by range (a public.told_ops)
