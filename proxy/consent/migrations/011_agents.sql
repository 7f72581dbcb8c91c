-- A scope of tokens for who confirms customers' requests: what erases a customer is no matter of reading or consent.

ALTER TABLE consentry.tokens
    DROP CONSTRAINT tokens_scopes_check,
    ADD CONSTRAINT tokens_scopes_check CHECK (
        scopes <@ ARRAY['read', 'write', 'audit', 'profile', 'rights'] AND cardinality(scopes) > 0);
