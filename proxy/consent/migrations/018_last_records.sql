-- Of a file that is read whole, the record that was its last one: the tombstone's hash of its key. A file that lost its end
-- lost that one.
ALTER TABLE consentry.profile_sources ADD COLUMN last_record bytea;
