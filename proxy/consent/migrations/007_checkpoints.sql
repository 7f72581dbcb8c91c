-- Checkpoints of audit logs: signed by the gateway's key, added and never changed. `count` lines, the last with hash `head`.

CREATE TABLE consentry.checkpoints (
    log text NOT NULL,
    worker integer NOT NULL,
    count bigint NOT NULL,
    head text NOT NULL,
    at timestamptz NOT NULL,
    key text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (log, worker, count, head)
);
CREATE FUNCTION consentry.refuse_checkpoint_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'checkpoints of the audit log are never changed or removed' USING
        ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON consentry.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION consentry.refuse_checkpoint_change();
ALTER TABLE consentry.checkpoints ENABLE ALWAYS TRIGGER never_changed;
REVOKE ALL ON consentry.checkpoints FROM PUBLIC;
