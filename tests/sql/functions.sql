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
