-- What somebody should look at in a source, though its last sync came to its end.
ALTER TABLE consentry.profile_sources ADD COLUMN warning text;
