-- Records that wait because an erased customer had their key, or an address or number of theirs, which somebody has who is a
-- customer today: nobody gets them unless an agent says so.
ALTER TABLE consentry.profile_records ADD COLUMN erased boolean NOT NULL DEFAULT false;
