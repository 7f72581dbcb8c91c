-- built-in functions that compute pass
select lower('A'), now(), extract(year from now()), coalesce(null, 1), count(*) filter (where true) over (), uuid('00000000-0000-0000-0000-000000000000')
-- passes

-- those that reach data by another way do not
select query_to_xml('select * from customers', true, true, '')
-- refused 42501 permission denied for function query_to_xml

select * from pg_catalog.pg_ls_dir('.')
-- refused 42501 permission denied for function pg_ls_dir

select lo_get(1)
-- refused 42501 permission denied for function lo_get

-- user-defined functions only where the rules allow them
select peek(1)
-- refused 42501 permission denied for function peek

select tax(1)
-- passes

select c.whole from customers c
-- refused 42501 permission denied for function public.whole

-- as full
select (c).whole from customers c
-- refused 42501 permission denied for function public.whole

select set_config('role', 'postgres', false)
-- refused 42501 set_config() cannot set role

-- search_path by a statement that does nothing else, with constants
select pg_catalog.set_config('search_path', '', false);
-- passes

select set_config('Search_Path', 'public, "$user",Other', true)
-- passes

select set_config('search_path', 'public, pg_catalog', false)
-- refused 0A000 search_path cannot have pg_catalog behind another schema

select set_config('search_path', 'pg_temp', false)
-- refused 0A000 search_path cannot name this schema

select set_config('search_path', 'consentry', false)
-- refused 0A000 search_path cannot name this schema

select set_config('search_path', 'a b', false)
-- refused 42501 search_path must be given a constant list of names

select set_config('search_path', $1, false)
-- refused 42501 set_config() cannot set search_path

select set_config('search_path', 'other', false), (select max(id) from customers)
-- refused 42501 set_config() cannot set search_path

select set_config('search_path', 'other', false) from products
-- refused 42501 set_config() cannot set search_path

select set_config('search_path', 'other', false) limit 1
-- refused 42501 set_config() cannot set search_path

explain analyze select set_config('search_path', 'other', false)
-- refused 42501 set_config() cannot set search_path

prepare p as select set_config('search_path', 'other', false)
-- refused 42501 set_config() cannot set search_path

select set_config('search_path', 'other', false); select id from customers
-- refused 0A000 a statement that calls a function which may change search_path or temp tables must be the last of its query

begin; select set_config('search_path', 'other', true)
-- passes

select set_config('app.tenant', '7', true)
-- passes

select no_such_function(1)
-- refused 42883 function no_such_function does not exist

-- the sequence of a listed table counts for it; others count what the app may not see
select nextval('tickets_id_seq'::regclass), nextval('public."tickets_id_seq"')
-- passes

select nextval('counter')
-- refused 42501 permission denied for sequence counter

select nextval('prizes_id_seq')
-- refused 42501 permission denied for sequence prizes_id_seq

select nextval($1)
-- refused 42501 as a constant

select nextval('16423')
-- refused 42P01 relation "16423" does not exist

-- a function of the database's own that cannot be meant does not take away the built-in one of its name
select lower(p.name), lower('A'), lower($1), round(id::numeric, 2), upper(name) from products p
-- passes

-- where it could be, it is refused
select lower(grade) from grades
-- refused 42501 permission denied for function lower

select lower('low'::grade)
-- refused 42501 permission denied for function lower

select round($1, 2)
-- refused 42501 permission denied for function round

select upper('a', 'b')
-- refused 42501 permission denied for function upper

-- parameters: 16999
select lower($1)
-- refused 42501 permission denied for function lower

-- a call of one of the rules' functions may give a value of any type
select lower(x) from tax(1) x
-- refused 42501 permission denied for function lower

-- the schema says which is meant
select pg_catalog.lower(grade::text) from grades
-- passes

-- the same for operators
select 1 from products where id = 1 and name = 'x' and sku = $1 and id = any($2) and (id, sku) = (1, 'x') and -id < 0 and 'a' = 'b'
-- passes

select 1 from products join tickets using (id) where case id when 1 then true end and id in (select 2)
-- passes

select 1 from grades where grade = 'low'
-- refused 42501 permission denied for operator =

select 1 from grades join products using (id)
-- refused 42501 permission denied for operator =

select case grade when 'low' then 1 end from grades
-- refused 42501 permission denied for operator =

select 1 from products where id = 1 and 'low'::grade is null
-- refused 42501 permission denied for operator =

select 1 from grades where id operator(pg_catalog.=) 1
-- passes

select 1 # 'low'
-- refused 42501 permission denied for operator #

select 1 # 2, -1
-- passes

select - 'low'
-- refused 42501 permission denied for operator -

-- as mailer
select id # $1 from products
-- refused 42501 permission denied for operator #

-- types whose casts and checks read what the app does not have
select 'x'::carded
-- refused 42501 permission denied for type carded

select cast('x' as public.carded_too)
-- refused 42501 permission denied for type carded_too

select uncarded 'x'
-- refused 42501 permission denied for type uncarded

select 'x'::called
-- refused 42501 permission denied for type called

select 'x'::run
-- refused 42501 permission denied for type run

select '{x}'::carded[], row('x')::parcel
-- refused 42501 permission denied for type

select row('x')::parcel
-- refused 42501 permission denied for type parcel

select 1::cast_grade
-- refused 42501 permission denied for type cast_grade

prepare p(carded) as select $1
-- refused 42501 permission denied for type carded

create temp table t (a carded)
-- refused 42501 permission denied for type carded

select * from json_to_record('{}') as t(a carded)
-- refused 42501 permission denied for type carded

select pg_input_is_valid('x', 'carded')
-- refused 42501 permission denied for type carded

select pg_input_is_valid('x', $1)
-- refused 42501 as a constant

select pg_input_is_valid('x', 'integer'), 'x'::sku, 'low'::grade, span(1, 2), '[1,2)'::span
-- passes

-- an index of a temp table takes built-in operator classes
create index on pg_temp.x (a my_ops)
-- refused 0A000 operator class my_ops is not supported

-- what loads rows sets the sequence behind them (Django)
select setval(pg_get_serial_sequence('"tickets"', 'id'), coalesce(max("id"), 1), max("id") is not null) from "tickets"
-- becomes
select setval({pg_get_serial_sequence: '"tickets"' | 'id'}, coalesce(max("id"), 1), max("id") is not null) from "tickets"

select setval('tickets_id_seq', 5)
-- passes

select setval('prizes_id_seq', 5)
-- refused 42501 permission denied for sequence prizes_id_seq

select pg_get_serial_sequence($1, $2)
-- becomes
select {pg_get_serial_sequence: $1 | $2}

select setval(pg_get_serial_sequence('prizes', 'id'), 5)
-- refused 42501 permission denied for sequence prizes

select setval('public.counter', id) from customers
-- refused 42501 permission denied for sequence counter

select setval(lower('tickets_id_seq'), 5)
-- refused 42501 as a constant
