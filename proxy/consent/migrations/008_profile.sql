-- What other stores know of customers (`sources` in the rules): their records as they were read, whose they are, and what
-- they come to for each customer. No app reaches these tables but through the governed forms of consentry.profile.

CREATE TABLE consentry.profile_sources (
    name text PRIMARY KEY,
    mapping text,                       -- hash of the rules by which its records were read: others mean reading all again
    cursor text,                        -- where the next sync goes on
    content text,                       -- hash of a file as it was read last: the same is not read again
    tried_at timestamptz,
    synced_at timestamptz,              -- the last sync that came to its end
    error text,                         -- why the last one did not
    cut_over_at timestamptz             -- since then its data lives here, and it is not read any more
);

-- A record's values (attribute -> value; of a list: attribute -> {field: value}) stand in one place only: here.
CREATE TABLE consentry.profile_records (
    source text NOT NULL,
    key text NOT NULL,                  -- what names the record in its source
    subject :subject_type,              -- null: nobody knows yet whose it is
    how text,                           -- by what that is known: key, email, phone, email+phone, before, likely, new, agent
    formerly :subject_type,             -- whose it was, before it said that it is somebody else's
    candidates :subject_type[] NOT NULL DEFAULT '{}',  -- whose it may be, where that is to be decided
    "values" jsonb NOT NULL,
    digest bytea NOT NULL,              -- of all that was read of it
    read_at timestamptz NOT NULL,       -- when it was first read with these values
    PRIMARY KEY (source, key),
    CHECK ((subject IS NULL) = (how IS NULL))
);
CREATE INDEX profile_records_of_subject ON consentry.profile_records (subject);
CREATE INDEX profile_records_waiting ON consentry.profile_records (source, key) WHERE subject IS NULL;

-- What records are matched by, normalised. Those of the database's own customers have source '' and their subject as key.
CREATE TABLE consentry.profile_keys (
    source text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('email', 'phone')),
    raw text NOT NULL,                  -- as written
    value text,                         -- normalised; null: it is no address or number
    PRIMARY KEY (source, key, kind, raw)
);
CREATE INDEX profile_keys_by_value ON consentry.profile_keys (kind, value) WHERE value IS NOT NULL;

-- What agents decided about whose a record is. `other`: it is not this subject's.
CREATE TABLE consentry.profile_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    key text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('same', 'other', 'new')),
    subject :subject_type NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    undone_at timestamptz
);
CREATE INDEX profile_decisions_in_force ON consentry.profile_decisions (source, key) WHERE undone_at IS NULL;

-- Whose a record may be by all that it says, which `profile match` finds. `sure`: one alone reaches the rules' threshold.
CREATE TABLE consentry.profile_likely (
    source text NOT NULL,
    key text NOT NULL,
    subject :subject_type NOT NULL,
    probability double precision NOT NULL,
    sure boolean NOT NULL,
    PRIMARY KEY (source, key, subject)
);
CREATE SEQUENCE consentry.profile_people;   -- customers whom only other sources know get keys of their own

-- Whose word counts for each attribute, from the rules: the lowest rank; without one, what was read last.
CREATE TABLE consentry.profile_precedence (
    attribute text NOT NULL,
    source text NOT NULL,
    rank integer,
    listed boolean NOT NULL DEFAULT false,  -- of all records a list: each counts
    PRIMARY KEY (attribute, source)
);

-- What it comes to: a row a customer; `consent setup` and `profile sync` give it one column for each attribute of a source.
CREATE TABLE consentry.profile_data (subject :subject_type PRIMARY KEY);

-- Each value of a customer: where from, when read, and whether it is the one that counts.
CREATE VIEW consentry.profile_values AS
SELECT r.subject, v.key AS attribute, v.value, r.source, r.key, r.read_at,
       p.listed OR row_number() OVER (
           PARTITION BY r.subject, v.key
           ORDER BY p.rank, CASE WHEN p.rank IS NULL THEN r.read_at END DESC, r.source, r.key) = 1 AS chosen
FROM consentry.profile_records r
CROSS JOIN LATERAL jsonb_each(r."values") AS v
JOIN consentry.profile_precedence p ON p.attribute = v.key AND p.source = r.source
WHERE r.subject IS NOT NULL;

-- Who was erased, by hashes that say nothing without the key: no sync brings them back.
CREATE TABLE consentry.profile_tombstones (
    hash bytea PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
-- `kind`: record (value: its key), subject, email, phone (as normalised); `source`: of a record, else ''.
CREATE FUNCTION consentry.profile_tombstone(kind text, source text, value text) RETURNS bytea
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT consentry.keyed_hash('default', jsonb_build_array('profile tombstone', kind, source, value)::text)
$$;
