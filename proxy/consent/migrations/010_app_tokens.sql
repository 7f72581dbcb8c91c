-- Tokens of apps, which read profiles over HTTP: as what database login they read.

ALTER TABLE consentry.tokens ADD COLUMN login text;
ALTER TABLE consentry.tokens DROP CONSTRAINT tokens_scopes_check;
ALTER TABLE consentry.tokens ADD CONSTRAINT tokens_scopes_check
    CHECK (scopes <@ ARRAY['read', 'write', 'audit', 'profile'] AND cardinality(scopes) > 0);
ALTER TABLE consentry.tokens ADD CONSTRAINT tokens_login_check CHECK ((login IS NOT NULL) = ('profile' = ANY (scopes)));
