-- The customers whom only other sources know: keys in consentry.profile_data that the profile's own table does not have.
-- A sync keeps them; consentry.profile has a row of each. `consent setup` gives the key the type that the table's has.
CREATE TABLE consentry.profile_others (subject :subject_type PRIMARY KEY);
