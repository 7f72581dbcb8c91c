-- Of records that need not have every field: those that nearly all had when the source was read whole the last time.
ALTER TABLE consentry.profile_sources ADD COLUMN usual_fields text[] NOT NULL DEFAULT '{}';
