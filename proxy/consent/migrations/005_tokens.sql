-- Tokens of the organisation's own services for the HTTP API. The secret itself is kept nowhere.

CREATE TABLE consentry.tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'audit'] AND cardinality(scopes) > 0),
    sha256 bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
REVOKE ALL ON consentry.tokens FROM PUBLIC;
