-- Files of many decisions: which were taken, so that one that is sent again is taken once.

CREATE TABLE consentry.imports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text UNIQUE CHECK (length(key) BETWEEN 1 AND 200),  -- the caller's idempotency key
    sha256 bytea NOT NULL,              -- of the file
    records bigint NOT NULL,            -- lines of the file
    events bigint NOT NULL,             -- what they came to
    source text,                        -- by which way; the events' source says the import's id before it
    policy_version text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
REVOKE ALL ON consentry.imports FROM PUBLIC;

-- What a large import does first: it locks the table in place of each subject, and sends one word to other systems.
CREATE FUNCTION consentry.begin_bulk() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE consentry.events IN SHARE ROW EXCLUSIVE MODE;
    PERFORM set_config('consentry.bulk', 'on', true);
END $$;
REVOKE ALL ON FUNCTION consentry.begin_bulk() FROM PUBLIC;
