SELECT * FROM people ORDER BY id;
SELECT p.*, (p).name, row_to_json(p), p::text FROM people p ORDER BY paid DESC NULLS LAST;
SELECT id, count(*) OVER w, string_agg(note, ',' ORDER BY at) FROM people JOIN visits ON person = id
  GROUP BY id WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY id;
SELECT town, sum(paid), grouping(town) FROM people GROUP BY GROUPING SETS ((town), ()) ORDER BY 1 NULLS LAST, 2;
WITH RECURSIVE up (id, name) AS (SELECT id, name FROM people WHERE id = 1 UNION ALL
  SELECT p.id, p.name FROM people p JOIN up ON p.id = up.id + 1) SEARCH BREADTH FIRST BY id SET o SELECT * FROM up ORDER BY o;
SELECT * FROM towns ORDER BY town;
TABLE people ORDER BY id LIMIT 1;
SELECT x.* FROM people AS x (a, b, c) WHERE c IS NULL;
SELECT * FROM people NATURAL JOIN (VALUES (1), (3)) v (id) ORDER BY id;
SELECT name FROM people p, pg_class c WHERE c.relname = 'people' AND c.relkind = 'r' ORDER BY 1;
SELECT name FROM people p JOIN pg_class c ON c.relname = p.name OR c.relispartition IS NULL ORDER BY 1;
SELECT name FROM people UNION ALL SELECT note FROM visits ORDER BY 1;
SELECT id FROM people WHERE EXISTS (SELECT FROM visits WHERE person = people.id AND note LIKE '%2') FOR UPDATE;
SELECT name::int FROM people ORDER BY id;
SELECT 1 / (id - 2) FROM people ORDER BY id;
SELECT nothing FROM people;
SELECT nme FROM people;
SELECT * FROM nowhere;
SELECT 'people'::regclass, regtype('int4'), tid('(0,1)'), pg_lsn('0/1');
COPY (SELECT * FROM people ORDER BY id) TO stdout WITH (FORMAT csv, HEADER);
COPY people (id, town) TO stdout;
SELECT id AS last_id FROM people ORDER BY id DESC LIMIT 1 \gset
SELECT * FROM people WHERE id = :last_id;
VALUES (1, 'a'), (2, NULL);
SELECT;
