// node-postgres' side of test_drivers_node.py: `node session.js URI`, the statements as JSON on standard input.
// Prints what it saw as JSON lines: a string for a value (as util.inspect shows it), an object for an error.
"use strict";

const fs = require("node:fs");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const util = require("node:util");
const pg = require("pg");
const Cursor = require("pg-cursor");
const { from, to } = require("pg-copy-streams");

const connectionString = process.argv[2];
const { reads, writes, failures } = JSON.parse(fs.readFileSync(0, "utf8"));

function show(value) {
  const options = { depth: null, breakLength: Infinity, maxArrayLength: null, maxStringLength: null };
  console.log(JSON.stringify(util.inspect(value, options)));
}

function showResult(result) {
  const fields = result.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]);
  show([result.command, result.rowCount, fields, result.rows]);
}

async function attempt(work) {
  try {
    showResult(await work());
  } catch (error) {
    if (!error.code) throw error;
    const { severity, code, message, detail, hint, position, schema, table, column, constraint, dataType } = error;
    console.log(JSON.stringify({ sqlstate: code, severity, message, detail, hint, position, schema, table, column, constraint, dataType }));
  }
}

async function connected(work) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

async function statements(client) {
  for (const text of reads) {
    showResult(await client.query(text));
    showResult(await client.query({ text, values: [], rowMode: "array" }));
  }
  await client.query("BEGIN");
  for (const text of writes) showResult(await client.query(text));
  await client.query("ROLLBACK");
  for (const text of failures) {
    await attempt(() => client.query(text));
    await attempt(() => client.query({ text, values: [] }));
  }
}

async function parameters(client) {
  const text = "SELECT full_name, card_no, email FROM customers WHERE id = ANY($1) AND mood = $2 ORDER BY id";
  for (const values of [[[1, 2], "sad"], [[1, 2, 3], "happy"], [["3"], "ok"]]) {
    showResult(await client.query({ name: "people", text, values }));
  }
  await client.query("BEGIN");
  const row = { id: 40, i4: 7, num: "1.50", f8: 0.1, t: "it's", b: Buffer.from([0, 255]), ok: true, jb: { a: [1, null] }, d: "2024-02-29" };
  Object.assign(row, { ints: [1, 2], texts: ["a", null, 'q"'], ts: new Date(Date.UTC(2024, 1, 29, 12)), u: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" });
  Object.assign(row, { span: "1 day 02:00", span4: "[1,4)", m: "ok", a: "(s,c,1)", net: "10.0.0.1", spot: { toPostgres: () => "(1,2)" } });
  const names = Object.keys(row);
  const marks = names.map((_, n) => `$${n + 1}`);
  const insert = `INSERT INTO kinds (${names}) VALUES (${marks}) RETURNING ${names}, m_num`;
  showResult(await client.query(insert, Object.values(row)));
  await attempt(() => client.query("INSERT INTO orders (customer_id, total) VALUES ($1, $2)", [999, 1]));
  await attempt(() => client.query("SELECT 1"));
  await client.query("ROLLBACK");
  await attempt(() => client.query("SELECT id FROM customers WHERE id = $1", ["x"]));
  await attempt(() => client.query("SELECT $1::int / $2::int FROM orders", [1, 0]));
  for (const result of await client.query("SELECT card_no FROM customers ORDER BY id; SELECT 2 AS two; SET datestyle = ISO")) showResult(result);
  showResult(await client.query({ text: "SELECT card_no, id FROM customers ORDER BY id", types: { getTypeParser: () => (v) => `<${v}>` } }));
}

async function streams(client) {
  const cursor = client.query(new Cursor("SELECT n, card_no FROM numbers, customers WHERE n > $1 ORDER BY n, id", [100]));
  show(await cursor.read(5));
  show((await cursor.read(2000)).length);
  await cursor.close();
  await client.query("BEGIN");
  for (const what of ["customers", "(SELECT * FROM customers ORDER BY id)", "orders (total, id)"]) {
    const parts = [];
    for await (const part of client.query(to(`COPY ${what} TO STDOUT (FORMAT csv, HEADER)`))) parts.push(part);
    show(Buffer.concat(parts).toString());
  }
  const lines = Array.from({ length: 5000 }, (_, n) => `1\t${n}\n`);
  const copy = client.query(from("COPY orders (customer_id, total) FROM STDIN"));
  await pipeline(Readable.from(lines), copy);
  show(copy.rowCount);
  showResult(await client.query("SELECT count(*), sum(total) FROM orders"));
  await attempt(() => pipeline(Readable.from(["1\tmany\n"]), client.query(from("COPY orders (customer_id, total) FROM STDIN"))));
  await client.query("ROLLBACK");
}

async function messages(client) {
  const heard = [];
  client.on("notice", (notice) => heard.push([notice.severity, notice.code, notice.message]));
  client.on("notification", (message) => heard.push([message.channel, message.payload]));
  await client.query("LISTEN news");
  await client.query("ROLLBACK");
  const notified = new Promise((resolve) => client.once("notification", resolve));
  await connected((other) => other.query("NOTIFY news, 'hello'"));
  await notified;
  show(heard);
  await client.query("SET statement_timeout = 50");
  await attempt(() => client.query("SELECT pg_sleep(20), card_no FROM customers"));
}

async function pool() {
  const all = new pg.Pool({ connectionString, max: 4 });
  const text = "SELECT $1::int AS n, card_no, count(*) FROM customers JOIN orders ON customer_id = customers.id GROUP BY 2 ORDER BY 2";
  const results = await Promise.all(Array.from({ length: 40 }, (_, n) => all.query(text, [n])));
  show(results.map((result) => result.rows));
  const client = await all.connect();
  try {
    await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
    await client.query("UPDATE customers SET mood = 'ok'");
    await client.query("SAVEPOINT s");
    await attempt(() => client.query("SELECT nothing FROM customers"));
    await client.query("ROLLBACK TO SAVEPOINT s");
    showResult(await client.query("SELECT mood, count(*) FROM customers GROUP BY mood"));
    await client.query("ROLLBACK");
  } finally {
    client.release();
  }
  await all.end();
}

(async () => {
  for (const part of [statements, parameters, streams, messages]) await connected(part);
  await pool();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
