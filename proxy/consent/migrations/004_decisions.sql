-- Decisions about several attributes at once, requests that may be sent again, imports of many, word to other systems.

ALTER TABLE consentry.events
    ADD COLUMN scope text CHECK (scope = 'all' OR scope LIKE 'group:%'),  -- what the decision was about; NULL: this attribute
    ADD COLUMN request text CHECK (length(request) BETWEEN 1 AND 200);    -- the caller's idempotency key

CREATE UNIQUE INDEX events_by_request ON consentry.events (subject, request, app, attribute) WHERE request IS NOT NULL;

-- NULL where there is none: rows of state are read by every statement under consent, and most customers have neither.
ALTER TABLE consentry.state
    ALTER COLUMN withdrawn DROP NOT NULL, ALTER COLUMN withdrawn DROP DEFAULT,
    ALTER COLUMN expiring DROP NOT NULL, ALTER COLUMN expiring DROP DEFAULT;
UPDATE consentry.state SET withdrawn = nullif(withdrawn, '{}'), expiring = nullif(expiring, '{}');

-- As before, but for the two new columns, which are hashed where one is set, and for `consentry.bulk`: an import of many
-- subjects would need more locks than the server has. It holds a lock of the whole table; who sets it without one gains
-- nothing, since a chain cannot fork.
CREATE OR REPLACE FUNCTION consentry.before_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    IF current_setting('consentry.bulk', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('consentry subject ' || NEW.subject::text, 0));
    END IF;
    SELECT e.hash, e.at INTO last FROM consentry.events e WHERE e.subject = NEW.subject ORDER BY e.id DESC LIMIT 1;
    NEW.id := nextval('consentry.event_ids');
    -- Without a time of its own an event is later than those before it, even when the clock was set back.
    NEW.at := coalesce(NEW.at, greatest(clock_timestamp(), last.at + interval '1 microsecond'));
    IF NEW.at > clock_timestamp() + interval '5 minutes' THEN
        RAISE EXCEPTION 'the consent event''s time, %, is in the future', NEW.at USING ERRCODE = 'datetime_field_overflow';
    END IF;
    NEW.prev_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    NEW.hash := sha256(NEW.prev_hash || convert_to((jsonb_build_array(
        NEW.id::text, NEW.subject::text, NEW.app, NEW.attribute, NEW.decision, consentry.iso(NEW.at),
        consentry.iso(NEW.expires_at), NEW.actor, NEW.source, NEW.policy_version, NEW.text_version,
        NEW.evidence::text)
        || CASE WHEN NEW.scope IS NULL AND NEW.request IS NULL THEN '[]'::jsonb
                ELSE jsonb_build_array(NEW.scope, NEW.request) END)::text, 'UTF8'));
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION consentry.after_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    for_good boolean := NEW.decision = 'granted' AND NEW.expires_at IS NULL;
    for_now boolean := NEW.decision = 'granted' AND NEW.expires_at IS NOT NULL;
BEGIN
    IF current_setting('consentry.bulk', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_notify('consentry_consent', json_build_object('event', NEW.id)::text);
    END IF;
    -- An imported event may be older than what the ledger has: it is kept, and changes nothing.
    IF EXISTS (SELECT FROM consentry.events e
               WHERE e.subject = NEW.subject AND e.app = NEW.app AND e.attribute = NEW.attribute
                 AND (e.at, e.id) > (NEW.at, NEW.id)) THEN
        RETURN NULL;
    END IF;
    INSERT INTO consentry.state AS s (subject, app, granted, withdrawn, expiring)
    VALUES (NEW.subject, NEW.app,
            CASE WHEN for_good THEN ARRAY[NEW.attribute] ELSE '{}' END,
            CASE WHEN NEW.decision = 'withdrawn' THEN ARRAY[NEW.attribute] END,
            CASE WHEN for_now THEN jsonb_build_object(NEW.attribute, consentry.iso(NEW.expires_at)) END)
    ON CONFLICT (subject, app) DO UPDATE SET
        granted = array_remove(s.granted, NEW.attribute) || excluded.granted,
        withdrawn = nullif(array_remove(s.withdrawn, NEW.attribute) || excluded.withdrawn, '{}'),
        expiring = nullif((coalesce(s.expiring, '{}') - NEW.attribute) || coalesce(excluded.expiring, '{}'), '{}');
    RETURN NULL;
END $$;

-- Whoever may set session_replication_role could otherwise add events without a hash, or that are not in force.
ALTER TABLE consentry.events ENABLE ALWAYS TRIGGER before_event;
ALTER TABLE consentry.events ENABLE ALWAYS TRIGGER after_event;
