-- Takes out of a copy what the app has not.
ALTER TABLE customers DROP COLUMN secret_upper, DROP COLUMN secret CASCADE, DROP COLUMN secret_id CASCADE;
ALTER TABLE sales.orders DROP COLUMN secret_customer;
DROP TABLE payroll CASCADE;
DELETE FROM sales.orders WHERE placed < '2024-01-01';
DO $$ DECLARE one text; BEGIN  -- the gateway's own schema is empty
    FOR one IN SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'consentry'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP EXECUTE 'DROP TABLE ' || one || ' CASCADE'; END LOOP; END $$;
DROP SEQUENCE consentry.profile_people;
