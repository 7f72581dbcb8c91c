-- Customers' rights: receipts of what was done, requests that wait for an agent, and whose data is restricted (GDPR 18).

-- No receipt names a customer. They are added and never changed.
CREATE TABLE consentry.receipts (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    receipt jsonb NOT NULL
);
CREATE FUNCTION consentry.refuse_receipt_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'receipts are never changed or removed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON consentry.receipts
    FOR EACH STATEMENT EXECUTE FUNCTION consentry.refuse_receipt_change();
ALTER TABLE consentry.receipts ENABLE ALWAYS TRIGGER never_changed;

-- Asked by every governed form where the rules say `rights: {restriction: enforced}`: as good as empty, always.
CREATE TABLE consentry.restrictions (
    subject :subject_type PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE consentry.requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject :subject_type,              -- NULL after an erasure: what was asked and done stays, whose it was does not
    kind text NOT NULL CHECK (kind IN ('erase', 'rectify', 'restrict', 'lift', 'export')),
    attribute text,                     -- to rectify
    value text,                         -- to rectify; NULL when it is done
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'done', 'refused')),
    source text NOT NULL,               -- by which way it came: a page, a token
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '1 month',  -- GDPR 12(3)
    decided_at timestamptz,
    decided_by text,
    reason text,                        -- why it was refused, in words for the customer
    receipt uuid REFERENCES consentry.receipts
);
CREATE INDEX requests_open ON consentry.requests (due_at) WHERE status = 'open';
CREATE INDEX requests_by_subject ON consentry.requests (subject, id);
REVOKE ALL ON consentry.receipts, consentry.restrictions, consentry.requests FROM PUBLIC;
