-- The ledger: events that are only ever added, and a state made from them that is fast to join.
-- :subject_type is the type of the rules' subject keys: bigint, uuid or text.

CREATE TABLE consentry.migrations (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    sha256 text NOT NULL
);

CREATE SEQUENCE consentry.event_ids;

CREATE TABLE consentry.events (
    id bigint PRIMARY KEY,              -- the trigger gives it, under the subject's lock: ascending along each chain
    subject :subject_type NOT NULL,
    app text NOT NULL,
    attribute text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('granted', 'withdrawn')),
    at timestamptz NOT NULL CHECK (isfinite(at)),
    expires_at timestamptz CHECK (isfinite(expires_at)),
    actor text NOT NULL CHECK (actor IN ('customer', 'agent', 'import')),
    source text,                        -- by which way: a command, a page, a file
    policy_version text,                -- hash of the rules in force
    text_version text,                  -- of the words that the customer was shown
    evidence jsonb,
    prev_hash bytea NOT NULL,           -- hash of the event before for this subject; 32 zero bytes for the first
    hash bytea NOT NULL,
    CHECK (expires_at IS NULL OR (decision = 'granted' AND expires_at > at AND expires_at < '10000-01-01 00:00+00')),
    UNIQUE (subject, prev_hash)         -- a chain cannot fork, whatever the isolation level of the writers
);
ALTER SEQUENCE consentry.event_ids OWNED BY consentry.events.id;
CREATE INDEX events_by_subject ON consentry.events (subject, id);
CREATE INDEX events_by_consent ON consentry.events (subject, app, attribute, at);

-- One row for each subject and app. An attribute is granted now when it is in `granted`, or when its time in `expiring`
-- (attribute -> ISO 8601, UTC) is to come. `withdrawn` is what opt_out asks.
CREATE TABLE consentry.state (
    subject :subject_type NOT NULL,
    app text NOT NULL,
    granted text[] NOT NULL DEFAULT '{}',
    withdrawn text[] NOT NULL DEFAULT '{}',
    expiring jsonb NOT NULL DEFAULT '{}',
    -- Covering, so that the join reads the index only; `setup` makes it plain where the rules have very many attributes.
    CONSTRAINT state_pkey PRIMARY KEY (subject, app) INCLUDE (granted, withdrawn, expiring)
) PARTITION BY LIST (app);

CREATE FUNCTION consentry.iso(moment timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

CREATE FUNCTION consentry.before_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('consentry subject ' || NEW.subject::text, 0));
    SELECT e.hash, e.at INTO last FROM consentry.events e WHERE e.subject = NEW.subject ORDER BY e.id DESC LIMIT 1;
    NEW.id := nextval('consentry.event_ids');
    -- Without a time of its own an event is later than those before it, even when the clock was set back.
    NEW.at := coalesce(NEW.at, greatest(clock_timestamp(), last.at + interval '1 microsecond'));
    IF NEW.at > clock_timestamp() + interval '5 minutes' THEN
        RAISE EXCEPTION 'the consent event''s time, %, is in the future', NEW.at USING ERRCODE = 'datetime_field_overflow';
    END IF;
    NEW.prev_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    NEW.hash := sha256(NEW.prev_hash || convert_to(jsonb_build_array(
        NEW.id::text, NEW.subject::text, NEW.app, NEW.attribute, NEW.decision, consentry.iso(NEW.at),
        consentry.iso(NEW.expires_at), NEW.actor, NEW.source, NEW.policy_version, NEW.text_version,
        NEW.evidence::text)::text, 'UTF8'));
    RETURN NEW;
END $$;

CREATE FUNCTION consentry.after_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    for_good boolean := NEW.decision = 'granted' AND NEW.expires_at IS NULL;
    for_now boolean := NEW.decision = 'granted' AND NEW.expires_at IS NOT NULL;
BEGIN
    -- An imported event may be older than what the ledger has: it is kept, and changes nothing.
    IF EXISTS (SELECT FROM consentry.events e
               WHERE e.subject = NEW.subject AND e.app = NEW.app AND e.attribute = NEW.attribute
                 AND (e.at, e.id) > (NEW.at, NEW.id)) THEN
        RETURN NULL;
    END IF;
    INSERT INTO consentry.state AS s (subject, app, granted, withdrawn, expiring)
    VALUES (NEW.subject, NEW.app,
            CASE WHEN for_good THEN ARRAY[NEW.attribute] ELSE '{}' END,
            CASE WHEN NEW.decision = 'withdrawn' THEN ARRAY[NEW.attribute] ELSE '{}' END,
            CASE WHEN for_now THEN jsonb_build_object(NEW.attribute, consentry.iso(NEW.expires_at)) ELSE '{}' END)
    ON CONFLICT (subject, app) DO UPDATE SET
        granted = array_remove(s.granted, NEW.attribute) || excluded.granted,
        withdrawn = array_remove(s.withdrawn, NEW.attribute) || excluded.withdrawn,
        expiring = (s.expiring - NEW.attribute) || excluded.expiring;
    RETURN NULL;
END $$;

CREATE FUNCTION consentry.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'consent events are never changed or removed' USING
        ERRCODE = 'insufficient_privilege', HINT = 'Record another event instead.';
END $$;

CREATE TRIGGER before_event BEFORE INSERT ON consentry.events FOR EACH ROW EXECUTE FUNCTION consentry.before_event();
CREATE TRIGGER after_event AFTER INSERT ON consentry.events FOR EACH ROW EXECUTE FUNCTION consentry.after_event();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON consentry.events
    FOR EACH STATEMENT EXECUTE FUNCTION consentry.refuse_change();
ALTER TABLE consentry.events ENABLE ALWAYS TRIGGER never_changed;   -- session_replication_role does not turn it off
