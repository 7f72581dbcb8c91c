-- What keyed and structural masks call. Keys are made here and never leave: not in a statement, an error or a log.

-- HMAC's two padded keys of 64 bytes each (RFC 2104): the key itself is kept nowhere.
CREATE TABLE consentry.keys (
    name text PRIMARY KEY,
    "inner" bytea NOT NULL CHECK (length("inner") = 64),
    "outer" bytea NOT NULL CHECK (length("outer") = 64)
);

CREATE FUNCTION consentry.make_key(key_name text) RETURNS boolean
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Five UUIDs of 122 random bits from the server's strong source, folded into 256 bits.
    random bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
                           || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
    inner_pad bytea := random || decode(repeat('00', 32), 'hex');
    outer_pad bytea := inner_pad;
BEGIN
    FOR i IN 0..63 LOOP
        outer_pad := set_byte(outer_pad, i, get_byte(outer_pad, i) # 92);  -- 0x5c
        inner_pad := set_byte(inner_pad, i, get_byte(inner_pad, i) # 54);  -- 0x36
    END LOOP;
    INSERT INTO consentry.keys (name, "inner", "outer") VALUES (key_name, inner_pad, outer_pad) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

-- HMAC-SHA-256 of the value's UTF-8 bytes. STABLE: a key that is missing now may be there in the next statement.
CREATE FUNCTION consentry.keyed_hash(key_name text, value text) RETURNS bytea
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hashed bytea;
BEGIN
    SELECT sha256(k."outer" || sha256(k."inner" || convert_to(value, 'UTF8'))) INTO hashed
    FROM consentry.keys k WHERE k.name = key_name;
    IF hashed IS NULL THEN
        RAISE EXCEPTION 'there is no key "%" for masks', key_name USING
            ERRCODE = 'undefined_object', HINT = 'Run "consentry consent setup".';
    END IF;
    RETURN hashed;
END $$;

-- The document with every value that is no object or array emptied, and all that lies deeper than `levels` (each takes a
-- piece of the server's stack). Operators are named: it runs in the app's search path.
CREATE FUNCTION consentry.json_keys(document jsonb, levels integer DEFAULT 100) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    kind pg_catalog.text := pg_catalog.jsonb_typeof(document);
BEGIN
    IF levels OPERATOR(pg_catalog.<=) 0 THEN
        RETURN 'null'::pg_catalog.jsonb;
    ELSIF kind OPERATOR(pg_catalog.=) 'object' THEN
        RETURN (SELECT coalesce(
                    pg_catalog.jsonb_object_agg(e.key, consentry.json_keys(e.value, levels OPERATOR(pg_catalog.-) 1)),
                    '{}'::pg_catalog.jsonb)
                FROM pg_catalog.jsonb_each(document) e);
    ELSIF kind OPERATOR(pg_catalog.=) 'array' THEN
        RETURN (SELECT coalesce(
                    pg_catalog.jsonb_agg(consentry.json_keys(e.value, levels OPERATOR(pg_catalog.-) 1)
                                         ORDER BY e.ordinality),
                    '[]'::pg_catalog.jsonb)
                FROM pg_catalog.jsonb_array_elements(document) WITH ORDINALITY e);
    END IF;
    RETURN 'null'::pg_catalog.jsonb;
END $$;

REVOKE ALL ON SCHEMA consentry FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA consentry FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA consentry FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA consentry FROM PUBLIC;
