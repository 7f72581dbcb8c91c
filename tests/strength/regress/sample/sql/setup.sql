-- what the other scripts read
CREATE TABLE people (id int PRIMARY KEY, name varchar(20) NOT NULL, born date, town text COLLATE "C", paid numeric(8, 2));
CREATE TABLE visits (person int REFERENCES people, at timestamptz, note text);
CREATE VIEW towns AS SELECT town, count(*) AS people FROM people GROUP BY town;
COPY people FROM stdin;
1	Ann	1980-02-03	Ghent	10.50
2	Bo	\N	Turin	\N
3	Cy	1999-12-31	Ghent	7.00
\.
INSERT INTO visits SELECT p, '2020-01-01 12:00+00'::timestamptz + p * interval '1 day', 'visit ' || p
  FROM generate_series(1, 3) p;
