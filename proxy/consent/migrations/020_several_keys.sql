-- Addresses and numbers of a field that has more than its `value` tells, normalised: nobody is found by them, but they
-- may be an erased customer's.
ALTER TABLE consentry.profile_keys ADD COLUMN several text[] NOT NULL DEFAULT '{}';
CREATE INDEX profile_keys_with_several ON consentry.profile_keys (source, key) WHERE several <> '{}';
