BEGIN;
INSERT INTO people VALUES (4, 'Di', '2001-01-01', 'Lyon', 3), (5, 'Ed') RETURNING *;
INSERT INTO people (id, name) VALUES (4, 'Dee') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name, paid;
INSERT INTO people VALUES (4, 'Dee', '1990-04-04', 'Dover', 40) ON CONFLICT (id) DO UPDATE SET paid = excluded.paid RETURNING *;
INSERT INTO people SELECT * FROM people WHERE id = 4 ON CONFLICT (id) DO UPDATE SET paid = excluded.paid + 1 RETURNING *;
UPDATE people SET paid = paid + 1, (town, born) = ('Rome', '2000-02-02') WHERE name > 'Bo' RETURNING *;
UPDATE people p SET name = upper(name) FROM visits v WHERE v.person = p.id RETURNING p.name, v.note;
DELETE FROM people USING (SELECT 5 AS id) gone WHERE people.id = gone.id RETURNING people.*;
WITH moved AS (DELETE FROM visits WHERE person = 2 RETURNING *) INSERT INTO visits SELECT 1, at, note FROM moved RETURNING person;
SELECT count(*), sum(paid) FROM people;
SAVEPOINT a;
INSERT INTO people VALUES (1, 'again');
ROLLBACK TO a;
COPY visits (person, note) FROM stdin;
3	third
1	with	too many
\.
ROLLBACK;
INSERT INTO people VALUES (9, NULL);
INSERT INTO people VALUES (9, 'a name that is much longer than twenty characters');
COPY visits FROM stdin WITH (FORMAT csv);
2,2020-02-02 00:00+00,"from, a file"
\.
SELECT * FROM visits ORDER BY at;
