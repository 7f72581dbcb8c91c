-- Locks of Consentry's own, with keys that nobody can guess. Applications may take advisory locks: by a key that it could
-- compute, one would keep customers from changing their mind, and others from erasing them.

CREATE TABLE consentry.lock_seed (seed bigint NOT NULL);
INSERT INTO consentry.lock_seed
SELECT ('x' || encode(substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 8), 'hex'))::bit(64)::bigint;
REVOKE ALL ON consentry.lock_seed FROM PUBLIC;

CREATE FUNCTION consentry.lock_key(name text) RETURNS bigint
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT hashtextextended(name, seed) FROM consentry.lock_seed
$$;
REVOKE ALL ON FUNCTION consentry.lock_key(text) FROM PUBLIC;

-- As before, but for the lock's key.
CREATE OR REPLACE FUNCTION consentry.before_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    IF current_setting('consentry.bulk', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_advisory_xact_lock(consentry.lock_key('subject ' || NEW.subject::text));
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

-- As before, but for the order: that of the apps' names as whoever decides about several apps one by one has it, too.
CREATE OR REPLACE FUNCTION consentry.after_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM consentry.refresh_spans(t.app, t.names, t.numbers)
    FROM (WITH named AS MATERIALIZED (SELECT DISTINCT app, attribute FROM added), kept AS MATERIALIZED (
              SELECT n.app, n.attribute FROM named n
              WHERE EXISTS (SELECT FROM pg_attribute c
                            WHERE c.attrelid = to_regclass(format('consentry.%I', 'spans_' || n.app))
                              AND c.attname = 'granted_' || n.attribute AND NOT c.attisdropped))
          SELECT a.app, array_agg(DISTINCT a.attribute) AS names, array_agg(DISTINCT a.subject >> 7) AS numbers
          FROM added a JOIN kept k ON k.app = a.app AND k.attribute = a.attribute
          GROUP BY a.app ORDER BY a.app COLLATE "C") AS t;
    RETURN NULL;
END $$;
