-- What a record was matched by when somebody decided whose it is: hashes that say nothing without the key. A decision holds
-- until the record says something new that makes it another customer's. Of older ones, what the record says now.
ALTER TABLE consentry.profile_decisions ADD COLUMN keys bytea[] NOT NULL DEFAULT '{}';
UPDATE consentry.profile_decisions d SET keys = ARRAY(
    SELECT consentry.profile_tombstone(k.kind, '', k.value) FROM consentry.profile_keys k
    WHERE (k.source, k.key) = (d.source, d.key) AND k.value IS NOT NULL) WHERE d.undone_at IS NULL;
