"""Statements without parameters that every driver sends: each gives one result, or an error, that must be the twin's."""

from __future__ import annotations

READS = [
    "SELECT * FROM customers ORDER BY id",
    "SELECT * FROM kinds ORDER BY id",
    "TABLE products ORDER BY sku",
    "SELECT c.full_name, (c.home).city, o.* FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.id",
    "SELECT * FROM customers NATURAL JOIN (VALUES (1::bigint, 'x')) AS v (id, extra)",
    "SELECT id, o.total, c.email FROM orders o RIGHT JOIN customers c USING (id) ORDER BY id",
    "SELECT card_no, count(*) AS n, sum(total), avg(total)::numeric(10,3), array_agg(placed ORDER BY placed)"
    " FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY card_no ORDER BY 1",
    "SELECT mood, card_no, row_number() OVER (PARTITION BY parent_id ORDER BY full_name DESC) FROM customers ORDER BY 1, 2, 3",
    "WITH RECURSIVE tree AS (SELECT id, 0 AS depth FROM customers WHERE parent_id IS NULL UNION ALL"
    " SELECT c.id, depth + 1 FROM customers c JOIN tree t ON c.parent_id = t.id) SELECT * FROM tree ORDER BY id",
    "SELECT full_name FROM customers WHERE card_no LIKE '%1111' UNION ALL SELECT label FROM products ORDER BY 1",
    "SELECT c.id, last.* FROM customers c LEFT JOIN LATERAL (SELECT total, placed FROM orders o WHERE o.customer_id = c.id"
    " ORDER BY placed DESC LIMIT 1) AS last ON true ORDER BY 1",
    "SELECT id FROM customers WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = customers.id) ORDER BY id",
    "SELECT to_jsonb(c) AS document, row_to_json(c)::text FROM customers c ORDER BY id",
    "SELECT count(*), count(email), count(DISTINCT card_no), string_agg(card_no, ',' ORDER BY id) FROM customers",
    "SELECT x.a, x.b FROM customers AS x (a, b) ORDER BY 1",
    "SELECT 1 AS one, NULL, 'text', 1.5, true, '{1,2}'::int[], now() - now(), $$dollar$$ /* comment */ -- end",
    "VALUES (1, 'a'), (2, NULL)",
    "SELECT DISTINCT ON (customer_id) customer_id, total FROM orders ORDER BY customer_id, total DESC FETCH FIRST 2 ROWS ONLY",
    "SELECT",
    "SHOW standard_conforming_strings",
    "SELECT full_name, email, m.* FROM customers, LATERAL (SELECT mood, tags[1] AS tag) AS m WHERE email IS NOT NULL ORDER BY id",
]

# In this order, in one transaction that is rolled back.
WRITES = [
    "INSERT INTO customers (full_name, mood, home, tags) VALUES ('Dee', 'sad', ROW('s', 'c', 'z'), '{t}')"
    " RETURNING id > 50 AS made, full_name, card_no, home, tags, parent_id",
    "INSERT INTO products VALUES ('D4', 'Drum', 4, 4) RETURNING *",
    "INSERT INTO products VALUES ('D4', 'Dram', 5, 5) ON CONFLICT (sku) DO UPDATE SET label = excluded.label, price = products.price + 1"
    " RETURNING *",
    "INSERT INTO orders (customer_id, total) SELECT id, 5 FROM customers WHERE id < 3 ORDER BY id RETURNING customer_id, total, placed",
    "UPDATE orders SET total = total * 2 WHERE customer_id = 1 RETURNING total, customer_id",
    "UPDATE customers SET full_name = upper(full_name) WHERE id = 1 RETURNING *",
    "UPDATE orders o SET total = 1 FROM customers c WHERE c.id = o.customer_id AND c.card_no LIKE '%5559' RETURNING c.full_name, o.total",
    "DELETE FROM orders USING customers c WHERE c.id = customer_id AND c.mood = 'sad' RETURNING c.card_no, total",
    "WITH gone AS (DELETE FROM products WHERE stock > 5 RETURNING *) SELECT * FROM gone",
    "MERGE INTO products p USING (VALUES ('A1', 13.0), ('E5', 5.0)) AS v (sku, price) ON p.sku = v.sku"
    " WHEN MATCHED THEN UPDATE SET price = v.price WHEN NOT MATCHED THEN INSERT (sku, label, price) VALUES (v.sku, 'Egg', v.price)",
    "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT id, card_no, mood FROM customers WHERE id < 50",
    "INSERT INTO mine SELECT 77, 'x', 'ok'",
    "SELECT * FROM mine ORDER BY id",
    "SELECT * FROM products ORDER BY sku FOR UPDATE",
    "SELECT id, full_name, card_no FROM customers WHERE id < 50 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
]

# Each for itself; the errors are the twin's.
FAILURES = [
    "SELEC 1",
    "SELECT id,\n  full_name\nFROM customers WHERE WHERE id = 1",
    "SELECT nothing FROM customers",
    "SELECT c.id, o.nothing FROM customers c, orders o",
    "SELECT * FROM no_such_table",
    "SELECT id FROM orders WHERE total = 'many'",
    "SELECT 'abc'::integer",
    "SELECT 1/0",
    "SELECT total / (id - id) FROM orders",
    "SELECT id + mood FROM customers",
    "SELECT 'angry'::mood",
    "SELECT '{1,x}'::int[]",
    "SELECT '2024-13-01'::date",
    "SELECT 99999999999::int",
    "SELECT id, count(*) FROM orders GROUP BY customer_id",
    "SELECT id FROM customers c, orders o",
    "SELECT full_name FROM customers ORDER BY 7",
    "INSERT INTO customers (id, full_name) VALUES (1, 'again')",
    "INSERT INTO customers (full_name) VALUES (NULL)",
    "INSERT INTO orders (customer_id, total) VALUES (999, 1)",
    "INSERT INTO orders (customer_id, total) VALUES (1, -1)",
    "INSERT INTO orders (customer_id, total) VALUES (1, 12345678901)",
    "INSERT INTO products (sku, label) VALUES ('too long a key', 'x')",
    "INSERT INTO products (sku, label, stock) VALUES ('F6', 'x', 0)",
    "INSERT INTO products (nothing) VALUES (1)",
    "INSERT INTO products VALUES (1, 2, 3, 4, 5)",
    "UPDATE products SET nothing = 1",
    "UPDATE orders SET customer_id = 999 WHERE id = 1",
    "DELETE FROM products WHERE price = ''",
    "EXECUTE nothing",
    "FETCH 1 FROM nothing",
    "ROLLBACK TO SAVEPOINT nothing",
]
