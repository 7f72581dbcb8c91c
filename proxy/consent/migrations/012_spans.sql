-- Consents by spans of 128 subject keys, where keys are whole numbers: what a statement about many customers joins in the
-- place of a row for each of them. proxy/consent/spans.py makes a table consentry.spans_<app> for each app, and the trigger.

-- Makes `names` (attributes) of these spans anew from the state; `numbers` holds each span once. Their rows are locked
-- before the state is read: whoever changes another customer of the span is waited for, and then seen.
CREATE FUNCTION consentry.refresh_spans(app text, names text[], numbers bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$  -- 128 rows of very many, by index
DECLARE
    name text;
    written bigint;
BEGIN
    EXECUTE format('INSERT INTO consentry.%I (span) SELECT n FROM unnest($1) n ORDER BY n ON CONFLICT DO NOTHING',
                   'spans_' || app) USING numbers;
    EXECUTE format('SELECT FROM consentry.%I WHERE span = ANY ($1) ORDER BY span FOR UPDATE', 'spans_' || app)
        USING numbers;
    FOREACH name IN ARRAY names LOOP
        EXECUTE format($update$
            UPDATE consentry.%I s SET %I = n.granted, %I = n.withdrawn, %I = n.expiring
            FROM unnest($1) t (span) CROSS JOIN LATERAL (
                SELECT substr(bit_send(bit_or(c.place) FILTER (WHERE $2 = ANY (c.granted))), 5) AS granted,
                       substr(bit_send(bit_or(c.place) FILTER (WHERE $2 = ANY (c.withdrawn))), 5) AS withdrawn,
                       CASE WHEN bool_or(c.expiring ? $2) THEN (
                           SELECT array_agg((e.expiring ->> $2)::timestamptz ORDER BY p.place)
                           FROM generate_series(0, 127) AS p (place)
                           LEFT JOIN consentry.state e ON e.app = $3 AND e.subject = (t.span << 7) + p.place) END AS expiring
                FROM (SELECT set_bit(0::bit(128), (o.subject & 127)::integer # 7, 1) AS place,  -- as get_bit counts in bytea
                             o.granted, o.withdrawn, o.expiring
                      FROM consentry.state o
                      WHERE o.app = $3 AND o.subject BETWEEN t.span << 7 AND (t.span << 7) + 127) AS c) AS n
            WHERE s.span = t.span$update$,
            'spans_' || app, 'granted_' || name, 'withdrawn_' || name, 'expiring_' || name) USING numbers, name, app;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(numbers) THEN  -- there is a row that this transaction's snapshot does not see
            RAISE EXCEPTION 'consents of customers nearby were changed at the same time' USING
                ERRCODE = 'serialization_failure', HINT = 'Run the transaction again.';
        END IF;
    END LOOP;
END $$;

-- After each statement that adds events, when all of them are in the state.
CREATE FUNCTION consentry.after_events() RETURNS trigger
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
          GROUP BY a.app ORDER BY a.app) AS t;
    RETURN NULL;
END $$;
