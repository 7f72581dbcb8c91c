-- A bank's tables with a little data: what rules/bank/bank.yaml is written for. Made up, all of it.

CREATE SCHEMA core;
CREATE SCHEMA web;

CREATE TABLE core.customers (
    customer_no text PRIMARY KEY,
    full_name   text NOT NULL,
    email       varchar(120),
    phone       text,
    birth_date  date NOT NULL,
    tax_id      varchar(14),
    street      text NOT NULL,
    postcode    varchar(8) NOT NULL,
    city        text NOT NULL,
    occupation  text,
    income      integer,                -- a year, in euro
    identity    jsonb NOT NULL,         -- how the bank checked who this is
    opened_on   date NOT NULL
);

CREATE TABLE core.accounts (
    iban        varchar(34) PRIMARY KEY,
    customer_no text NOT NULL REFERENCES core.customers,
    kind        text NOT NULL,
    currency    char(3) NOT NULL DEFAULT 'EUR',
    balance     numeric(14,2) NOT NULL,
    closed_on   date
);
CREATE INDEX ON core.accounts (customer_no);

-- One partition a year.
CREATE TABLE core.transactions (
    id           bigint NOT NULL,
    iban         varchar(34) NOT NULL REFERENCES core.accounts,
    booked_at    timestamptz NOT NULL,
    amount       numeric(12,2) NOT NULL,
    counterparty text NOT NULL,
    purpose      text,
    channel      text NOT NULL,
    PRIMARY KEY (id, booked_at)
) PARTITION BY RANGE (booked_at);
CREATE TABLE core.transactions_2025 PARTITION OF core.transactions FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE core.transactions_2026 PARTITION OF core.transactions FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

CREATE TABLE core.cards (
    id      integer PRIMARY KEY,
    iban    varchar(34) NOT NULL REFERENCES core.accounts,
    pan     char(16) NOT NULL UNIQUE,
    expires date NOT NULL,
    pin     bytea NOT NULL,
    status  text NOT NULL DEFAULT 'active'
);

CREATE TABLE core.loans (
    id           integer PRIMARY KEY,
    customer_no  text NOT NULL REFERENCES core.customers,
    principal    numeric(12,2) NOT NULL,
    rate         numeric(5,3) NOT NULL,
    started_on   date NOT NULL,
    overdue_days integer NOT NULL DEFAULT 0
);

-- Suspicion of money laundering. The law forbids to let the customer know of it.
CREATE TABLE core.suspicions (
    id          integer PRIMARY KEY,
    customer_no text NOT NULL REFERENCES core.customers,
    opened_at   timestamptz NOT NULL,
    reason      text NOT NULL
);

CREATE TABLE core.branches (
    code     text PRIMARY KEY,
    city     text NOT NULL,
    postcode varchar(8) NOT NULL
);

CREATE TABLE web.sessions (
    id          uuid PRIMARY KEY,
    customer_no text NOT NULL REFERENCES core.customers,
    started_at  timestamp NOT NULL,
    address     inet NOT NULL,
    browser     text NOT NULL
);

-- A copy of sums by month, refreshed each night.
CREATE MATERIALIZED VIEW core.monthly_turnover AS
    SELECT date_trunc('month', booked_at AT TIME ZONE 'UTC')::date AS month, channel, sum(abs(amount)) AS turnover
    FROM core.transactions GROUP BY 1, 2
    WITH NO DATA;

CREATE FUNCTION core.in_euro(amount numeric, currency char) RETURNS numeric LANGUAGE sql IMMUTABLE
    RETURN round(amount * CASE currency WHEN 'CHF' THEN 1.04 WHEN 'USD' THEN 0.92 ELSE 1 END, 2);

INSERT INTO core.customers VALUES
    ('K-10001', 'Alva Amsel', 'alva@example.org', '+49 40 5550301', '1979-02-11', '11 222 333 444', 'Deich 3',
     '20457', 'Hamburg', 'architect', 74300, '{"document": {"kind": "passport", "number": "C01X00T47"}, "by": "kim"}',
     '2014-05-02'),
    ('K-10002', 'Bruno Birk', 'bruno@example.org', NULL, '1996-08-23', '22 333 444 555', 'Kiesweg 12',
     '28195', 'Bremen', 'student', NULL, '{"document": {"kind": "identity card", "number": "T22000129"}}', '2019-10-14'),
    ('K-10003', 'Cleo Clemens', 'cleo@example.org', '+49 40 5550303', '1964-11-05', NULL, 'Elbchaussee 90',
     '22763', 'Hamburg', 'lawyer', 128500, '{"document": {"kind": "passport", "number": "C4J99PL02"}}', '2001-01-20'),
    ('K-10004', 'Dario Dorn', NULL, '+49 421 5550304', current_date - interval '12 years', NULL, 'Am Wall 1',
     '28195', 'Bremen', NULL, NULL, '{"guardian": "K-10003"}', '2024-03-01');

INSERT INTO core.accounts VALUES
    ('DE02100100100000010001', 'K-10001', 'current', 'EUR',  3120.55, NULL),
    ('DE02100100100000010019', 'K-10001', 'savings', 'CHF', 18000.00, NULL),
    ('DE02100100100000010027', 'K-10002', 'current', 'EUR',   -84.10, NULL),
    ('DE02100100100000010035', 'K-10003', 'current', 'EUR', 96410.00, NULL),
    ('DE02100100100000010043', 'K-10003', 'savings', 'EUR',     0.00, '2025-06-30'),
    ('DE02100100100000010050', 'K-10004', 'savings', 'EUR',   240.00, NULL);

INSERT INTO core.transactions VALUES
    (1, 'DE02100100100000010001', '2025-12-28 09:14:31+00',  -64.90, 'Bücher Adler',  'order 1187',   'card'),
    (2, 'DE02100100100000010001', '2026-01-30 06:00:00+00', 4210.00, 'Bau und Grund', 'salary',       'transfer'),
    (3, 'DE02100100100000010027', '2026-02-02 17:45:10+00',  -12.40, 'Mensa Bremen',  NULL,           'card'),
    (4, 'DE02100100100000010035', '2026-02-03 03:11:59+00', -9000.00, 'Zephyr Ltd',   'invoice 1',    'transfer'),
    (5, 'DE02100100100000010035', '2026-02-03 03:15:02+00', -9000.00, 'Zephyr Ltd',   'invoice 2',    'transfer'),
    (6, 'DE02100100100000010050', '2026-02-04 12:00:00+00',   20.00, 'Cleo Clemens',  'pocket money', 'transfer'),
    (7, 'DE02100100100000010043', '2025-06-29 10:00:00+00', -150.00, 'Cleo Clemens',  'closing',      'transfer');

INSERT INTO core.cards VALUES
    (1, 'DE02100100100000010001', '4111111111111111', '2028-04-30', '\x9c01', 'active'),
    (2, 'DE02100100100000010027', '5500005555555559', '2027-09-30', '\x9c02', 'active'),
    (3, 'DE02100100100000010035', '4012888888881881', '2026-12-31', '\x9c03', 'active');

INSERT INTO core.loans VALUES
    (1, 'K-10001', 182500.00, 3.150, '2021-03-01',  0),
    (2, 'K-10002',   4200.00, 6.900, '2025-04-15', 31);

INSERT INTO core.suspicions VALUES
    (1, 'K-10003', '2026-02-03 08:30+00', 'two large payments at night');

INSERT INTO core.branches VALUES ('HH1', 'Hamburg', '20457'), ('HB1', 'Bremen', '28195');

INSERT INTO web.sessions VALUES
    ('7d0c5f0a-0000-4000-8000-000000000001', 'K-10001', '2026-02-01 19:22:10', '203.0.113.77', 'Firefox 140, Linux'),
    ('7d0c5f0a-0000-4000-8000-000000000002', 'K-10003', '2026-02-03 03:08:44', '198.51.100.9', 'Chrome 144, Windows'),
    ('7d0c5f0a-0000-4000-8000-000000000003', 'K-10002', '2026-02-02 17:40:00', '2001:db8:aa:1::5', 'Safari 26, iPhone');

REFRESH MATERIALIZED VIEW core.monthly_turnover;
