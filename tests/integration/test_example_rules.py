"""The examples in rules/: each promise that their comments make, asked of a real gateway before a real database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import yaml

from proxy.consent import service
from tests.gateways import GatewayProcess, consentry, running_gateway, set_up_consent, write_settings
from tests.servers import PgServer

RULES = Path(__file__).parent.parent.parent / "rules"
EXAMPLES = ("shop", "clinic", "bank")

# What `SELECT *` gives before anybody has decided anything: table, rows, columns; or the error.
SEES = {
    "crm_app": """
        public.customers 5: id full_name email phone born card_no created_at
        public.addresses 5: id customer_id street postcode city country
        public.orders 5: id customer_id placed_at total status
        public.order_items 9: order_id line sku quantity price
        public.support_notes 2: id customer_id written_at author body
        public.products 4: sku title price""",
    "analytics_app": """
        public.customers 5: id email born created_at
        public.addresses 5: id customer_id postcode country
        public.orders 6: id customer_id placed_at total status
        public.order_items 9: order_id line sku quantity
        public.support_notes 2: id customer_id written_at author
        public.products 4: sku title price""",
    "mailco_batch": """
        public.customers 0: id full_name email phone created_at
        public.addresses 5: id customer_id country
        public.orders 6: id customer_id placed_at total status
        public.order_items 9: order_id line sku quantity price
        public.support_notes 2: id customer_id written_at author
        public.products 4: sku title price""",
    "deploy": """
        public.customers 5: id full_name email phone born card_no created_at
        public.orders 6: id customer_id placed_at total status""",
    "ward_surgery": """
        public.patients 4: id full_name birth_date sex phone email street postcode insurance_no next_of_kin created_at
        public.encounters 3: id patient_id ward_id admitted_at discharged_at reason
        public.diagnoses 4: id encounter_id icd10 label found_on
        public.prescriptions 2: id encounter_id drug dose_mg prescribed_by
        public.clinical_notes 1: id encounter_id author_id body
        lab.results 4: id encounter_id analyte value unit taken_at device raw
        public.appointments 4: id patient_id starts_at department reason cancelled reminded_at
        public.invoices 2: id encounter_id
        public.ward_board 1: encounter_id patient_id full_name ward_id admitted_at
        public.staff 3: id full_name job
        public.wards 2: id name floor""",
    "ward_children": """
        public.patients 4: id full_name birth_date sex phone email street postcode insurance_no next_of_kin created_at
        public.encounters 1: id patient_id ward_id admitted_at discharged_at reason
        public.diagnoses 1: id encounter_id icd10 label found_on
        public.clinical_notes 1: id encounter_id author_id body
        lab.results 1: id encounter_id analyte value unit taken_at device raw
        public.ward_board 1: encounter_id patient_id full_name ward_id admitted_at""",
    "billing_app": """
        public.patients 4: id full_name birth_date street postcode insurance_no created_at
        public.encounters 4: id patient_id ward_id admitted_at discharged_at reason
        public.diagnoses 5: id encounter_id icd10 label found_on
        public.prescriptions 3: id encounter_id prescribed_by
        public.clinical_notes 42501
        lab.results 5: id encounter_id unit
        public.appointments 4: id patient_id reason
        public.invoices 1: id encounter_id payer amount issued_on
        public.ward_board 2: encounter_id patient_id full_name ward_id admitted_at
        public.staff 3: id full_name job
        public.wards 2: id name floor""",
    "research_app": """
        public.patients 0: id birth_date sex postcode created_at
        public.encounters 0: id patient_id ward_id admitted_at discharged_at reason
        public.diagnoses 0: id encounter_id icd10 label found_on
        public.prescriptions 0: id encounter_id drug dose_mg prescribed_by
        public.clinical_notes 42501
        lab.results 0: id encounter_id analyte value unit taken_at device raw
        public.appointments 0: id patient_id reason
        public.invoices 0: id encounter_id
        public.ward_board 0: encounter_id patient_id ward_id admitted_at
        public.staff 3: id job
        public.wards 2: id name floor""",
    "reminders_app": """
        public.patients 0: id full_name phone email created_at
        public.encounters 0: id patient_id ward_id
        public.diagnoses 0: id encounter_id
        public.prescriptions 0: id encounter_id prescribed_by
        public.clinical_notes 42501
        lab.results 0: id encounter_id unit
        public.appointments 0: id patient_id starts_at department cancelled reminded_at
        public.invoices 0: id encounter_id
        public.ward_board 0: encounter_id patient_id ward_id
        public.staff 3: id job
        public.wards 2: id name floor""",
    "clinic_deploy": """
        public.clinical_notes 2: id encounter_id author_id body
        public.staff 3: id full_name job licence_no salary""",
    "online_web": """
        core.customers 4: customer_no full_name email phone birth_date tax_id street postcode city occupation income opened_on
        core.accounts 5: iban customer_no kind currency balance closed_on
        core.transactions 6: id iban booked_at amount counterparty purpose channel
        core.transactions_2025 1: id iban booked_at amount counterparty purpose channel
        core.cards 3: id iban pan expires status
        core.loans 2: id customer_no principal rate started_on overdue_days
        core.suspicions 42501
        web.sessions 3: id customer_no started_at address browser
        core.monthly_turnover 5: month channel turnover
        core.branches 2: code city postcode""",
    "fraud_app": """
        core.customers 4: customer_no identity opened_on
        core.accounts 6: iban customer_no kind currency balance closed_on
        core.transactions 7: id iban booked_at amount counterparty purpose channel
        core.transactions_2025 2: id iban booked_at amount counterparty purpose channel
        core.cards 3: id iban expires status
        core.loans 2: id customer_no
        core.suspicions 1: id customer_no opened_at reason
        web.sessions 3: id customer_no started_at address browser
        core.monthly_turnover 5: month channel turnover
        core.branches 2: code city postcode""",
    "marketing_app": """
        core.customers 3: customer_no full_name email birth_date occupation income opened_on
        core.accounts 0: customer_no kind currency closed_on
        core.transactions 0: id channel
        core.transactions_2026 0: id channel
        core.cards 0: id
        core.loans 0: id customer_no
        core.suspicions 42501
        web.sessions 0: id customer_no
        core.monthly_turnover 5: month channel turnover
        core.branches 2: code city postcode""",
    "kredita_app": """
        core.customers 0: customer_no full_name birth_date postcode opened_on
        core.accounts 0: customer_no kind currency closed_on
        core.transactions 0: id channel
        core.cards 0: id
        core.loans 0: id customer_no principal rate started_on overdue_days
        core.suspicions 42501
        web.sessions 0: id customer_no
        core.monthly_turnover 5: month channel turnover
        core.branches 2: code city postcode""",
    "audit_app": """
        core.customers 4: customer_no full_name email phone birth_date tax_id street postcode city occupation income identity opened_on
        core.accounts 6: iban customer_no kind currency balance closed_on
        core.transactions 7: id iban booked_at amount counterparty purpose channel
        core.cards 3: id iban pan expires status
        core.loans 2: id customer_no principal rate started_on overdue_days
        core.suspicions 1: id customer_no opened_at reason
        web.sessions 3: id customer_no started_at address browser
        core.monthly_turnover 5: month channel turnover
        core.branches 2: code city postcode""",
    "bank_deploy": """
        core.cards 3: id iban pan expires pin status
        core.customers 4: customer_no full_name email phone birth_date tax_id street postcode city occupation income identity opened_on""",
}  # fmt: skip


class Example:
    """One example behind a gateway, with an empty ledger."""

    def __init__(self, name: str, server: PgServer, gateway: GatewayProcess, rules: dict[str, Any]) -> None:
        self.name = name
        self.server = server
        self.gateway = gateway
        self.rules = rules

    def connect(self, login: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.gateway.dsn(login, self.name), autocommit=True)

    def rows(self, login: str, sql: str, parameters: list[Any] | None = None) -> list[Any]:
        with self.connect(login) as connection:
            return connection.execute(sql.encode(), parameters).fetchall()

    def error(self, login: str, sql: str) -> str | None:
        """The SQLSTATE; None where it works (the effect is undone)."""
        with self.connect(login) as connection:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(sql.encode())
            except psycopg.Error as error:
                return error.sqlstate
        return None

    def changed(self, login: str, sql: str) -> int:
        """How many rows it wrote (the effect is undone)."""
        with self.connect(login) as connection, connection.transaction(force_rollback=True):
            return connection.execute(sql.encode()).rowcount

    @contextmanager
    def consent(self, decision: str, app: str, *pairs: tuple[str, str]) -> Iterator[None]:
        """`pairs` of subject and attribute are granted or withdrawn; the opposite is recorded at the end."""
        asyncio.run(self._decide(decision, app, pairs))
        try:
            yield
        finally:
            asyncio.run(self._decide({"grant": "withdraw", "withdraw": "grant"}[decision], app, pairs))

    async def _decide(self, decision: str, app: str, pairs: tuple[tuple[str, str], ...]) -> None:
        words = service.Vocabulary(list(self.rules["apps"]), list(self.rules["attributes"]))
        connection = await asyncpg.connect(self.server.dsn(self.name))
        try:
            for subject, attribute in pairs:
                await (service.grant if decision == "grant" else service.withdraw)(
                    connection, words, subject, app, attribute
                )
        finally:
            await connection.close()


@contextmanager
def running_example(name: str, server: PgServer, folder: Path) -> Iterator[Example]:
    text = (RULES / name / f"{name}.yaml").read_text()
    rules = yaml.safe_load(text)
    server.create_database(name, (RULES / name / "schema.sql").read_text())
    for login in (login for app in rules["apps"].values() for login in app["logins"]):
        server.create_login(login, group="auth_trust")
    for schema in {table.split(".")[0] for table in rules["tables"]}:  # all that the database can allow
        server.run(
            name, f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO PUBLIC"
        )
    write_settings(server, folder, text, {name: name})
    set_up_consent(folder, name)
    with running_gateway(server, folder, text, {name: name}) as gateway:
        yield Example(name, server, gateway, rules)


@pytest.fixture(scope="module")
def shop(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running_example("shop", pg_server, tmp_path_factory.mktemp("shop")) as example:
        yield example


@pytest.fixture(scope="module")
def clinic(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running_example("clinic", pg_server, tmp_path_factory.mktemp("clinic")) as example:
        yield example


@pytest.fixture(scope="module")
def bank(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running_example("bank", pg_server, tmp_path_factory.mktemp("bank")) as example:
        yield example


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    found: Example = request.getfixturevalue(request.param)
    return found


# -- all three -----------------------------------------------------------------------------------------------------


def test_check_finds_nothing_wrong(example: Example) -> None:
    assert json.loads(consentry(example.gateway.folder, "check", "--json")) == {"errors": [], "warnings": []}


def test_every_table_as_every_app(example: Example) -> None:
    for app in example.rules["apps"].values():
        login = next(login for login in app["logins"] if login in SEES)
        seen = {line.split()[0]: line.split(maxsplit=1)[1] for line in SEES[login].strip().splitlines()}
        assert app.get("trusted") or set(seen) >= set(example.rules["tables"])
        assert {table: _select(example, login, table) for table in seen} == seen


def test_every_ward_by_its_login(clinic: Example) -> None:
    for line in SEES["ward_children"].strip().splitlines():
        table, seen = line.split(maxsplit=1)
        assert _select(clinic, "ward_children", table) == seen


def _select(example: Example, login: str, table: str) -> str:
    """What `SELECT *` gives, as SEES has it; the catalog must name the same columns."""
    with example.connect(login) as connection:
        listed = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [table],
        ).fetchall()
        try:
            cursor = connection.execute(f"SELECT * FROM {table}".encode())
        except psycopg.Error as error:
            return str(error.sqlstate)
        names = [column.name for column in cursor.description or ()]
        assert names == [name for (name,) in listed], f"{table} in the catalog as {login} has it"
        return f"{cursor.rowcount}: {' '.join(names)}"


def test_explain_says_for_every_column_who_decided(example: Example) -> None:
    for name, app in example.rules["apps"].items():
        found = json.loads(consentry(example.gateway.folder, "explain", "--app", name, "--json"))
        assert found["passes"] == ("trusted" if app.get("trusted") else None)
        assert bool(found["columns"]) != bool(app.get("trusted"))
        assert all(line["because"] for line in found["columns"])


# -- the shop ------------------------------------------------------------------------------------------------------


def test_shop_service_works_with_all_but_cards(shop: Example) -> None:
    sql = """SELECT c.full_name, c.card_no, count(o.id), sum(o.total)
             FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id ORDER BY c.id"""
    assert shop.rows("crm_app", sql) == [
        ("Ann Archer", "************1111", 2, Decimal("75.40")),
        ("Ben Baker", "************5559", 1, Decimal("129.90")),
        ("Carla Costa", "***********0009", 1, Decimal("24.00")),
        ("Dmitri Danko", None, 1, Decimal("7.90")),
        ("Eva Ekström", "************1881", 0, None),  # her order is older than the legal period
    ]
    assert shop.rows("crm_app", "SELECT id FROM customers WHERE card_no = '4111111111111111'") == []
    assert shop.changed("crm_app", "UPDATE customers SET phone = '1' WHERE email LIKE '%.org'") == 2
    assert shop.error("crm_app", "UPDATE customers SET card_no = '1'") == "42501"


def test_shop_reports_are_coarse(shop: Example) -> None:
    sql = """SELECT a.postcode, extract(year FROM c.born)::int, sum(o.total)
             FROM customers c JOIN addresses a ON a.customer_id = c.id JOIN orders o USING (customer_id)
             GROUP BY 1, 2 ORDER BY 1"""
    assert shop.rows("analytics_app", sql) == [
        ("00", 1978, 20), ("10", 1992, 120), ("11", None, 40), ("20", 2001, 0), ("80", 1985, 60),
    ]  # fmt: skip
    codes = shop.rows(
        "analytics_app", "SELECT count(DISTINCT email), bool_and(email ~ '^[0-9a-f]{16}$') FROM customers"
    )
    assert codes == [(5, True)]
    assert shop.error("analytics_app", "SELECT full_name FROM customers") == "42703"
    assert shop.error("analytics_app", "SELECT price FROM order_items") == "42703"


def test_shop_mailco_sees_who_agreed(shop: Example) -> None:
    sql = "SELECT id, full_name, email, phone FROM customers ORDER BY id"
    assert shop.rows("mailco_app", sql) == []
    with shop.consent("grant", "mailco", ("1", "email"), ("2", "email"), ("2", "full_name"), ("2", "phone")):
        assert shop.rows("mailco_app", sql) == [
            (1, None, "ann@example.org", "************01"),
            (2, "Ben Baker", "ben@example.net", "+49 30 5550102"),
        ]
        assert shop.rows("mailco_app", "SELECT id FROM customers WHERE full_name LIKE 'A%'") == []
        assert shop.rows("mailco_batch", "SELECT count(*), count(full_name) FROM customers") == [(2, 1)]
    assert shop.rows("mailco_app", sql) == []
    assert shop.error("mailco_app", "SELECT id FROM customers WHERE card_no LIKE '4%'") == "42703"


def test_shop_customers_may_object(shop: Example) -> None:
    sql = "SELECT o.total, i.sku FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = 4"
    assert shop.rows("mailco_app", sql) == [(Decimal("24.00"), "CUP-02")]
    with shop.consent("withdraw", "mailco", ("3", "purchase_history")):
        assert shop.rows("mailco_app", sql) == [(None, None)]
    assert shop.rows("mailco_app", sql) == [(Decimal("24.00"), "CUP-02")]


# -- the clinic ----------------------------------------------------------------------------------------------------

NORA, OSKAR, PIA, QUIRIN = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 4))


def test_clinic_wards_treat_their_own(clinic: Example) -> None:
    sql = """SELECT p.full_name, public.age_in_years(p.birth_date) >= 18, string_agg(d.icd10, ' ' ORDER BY d.icd10)
             FROM patients p JOIN encounters e ON e.patient_id = p.id JOIN diagnoses d ON d.encounter_id = e.id
             GROUP BY p.id ORDER BY p.full_name"""
    surgery = [("Nora Nielsen", True, "I10 M16.1"), ("Oskar Otto", True, "K35.8"), ("Quirin Quast", True, "M23.2")]
    assert clinic.rows("ward_surgery", sql) == surgery
    assert clinic.rows("ward_children", sql) == [("Pia Peters", False, "J45.0")]
    last = """SELECT p.full_name, r.analyte, r.value FROM patients p JOIN encounters e ON e.patient_id = p.id
              CROSS JOIN LATERAL (SELECT * FROM lab.results l WHERE l.encounter_id = e.id ORDER BY taken_at DESC LIMIT 1) r
              ORDER BY 1"""
    assert clinic.rows("ward_surgery", last) == [
        ("Nora Nielsen", "CRP", Decimal("12.40")), ("Oskar Otto", "CRP", Decimal("96.80")), ("Quirin Quast", "haemoglobin", None),
    ]  # fmt: skip


def test_clinic_wards_see_what_the_machine_says_and_not_who_ran_it(clinic: Example) -> None:
    sql = "SELECT raw, raw ->> 'tech', raw ? 'tech', raw @? '$.**.tech', raw @> '{\"tech\": \"uu\"}' FROM lab.results WHERE id = 1"
    assert clinic.rows("ward_surgery", sql) == [({"run": 871}, None, False, False, False)]
    assert clinic.rows("ward_surgery", "SELECT raw['flags'] FROM lab.results WHERE id = 2") == [(["high"],)]
    assert clinic.error("ward_surgery", "UPDATE lab.results SET raw = '{}' WHERE id = 1") == "42501"


def test_clinic_wards_write(clinic: Example) -> None:
    sql = "UPDATE patients SET insurance_no = 'Z987654321' WHERE full_name = 'Oskar Otto' RETURNING insurance_no"
    with clinic.connect("ward_surgery") as connection, connection.transaction(force_rollback=True):
        assert connection.execute(sql.encode()).fetchall() == [("*******321",)]
    assert (
        clinic.changed("ward_surgery", "UPDATE encounters SET discharged_at = now() WHERE discharged_at IS NULL") == 1
    )
    assert clinic.changed("ward_surgery", "DELETE FROM diagnoses") == 4
    add = "INSERT INTO prescriptions (encounter_id, drug, dose_mg, prescribed_by) VALUES (3, 'Cetirizine', 5, 2)"
    assert clinic.changed("ward_children", add) == 1
    assert clinic.error("ward_surgery", "SELECT amount FROM invoices") == "42703"
    assert clinic.error("ward_children", "UPDATE wards SET login = 'ward_children' WHERE id = 1") == "42703"


def test_clinic_billing_bills_insurers(clinic: Example) -> None:
    sql = """WITH bills AS (SELECT encounter_id, sum(amount) AS amount FROM invoices GROUP BY encounter_id)
             SELECT p.full_name, p.insurance_no, e.discharged_at::date - e.admitted_at::date, b.amount
             FROM bills b JOIN encounters e ON e.id = b.encounter_id JOIN patients p ON p.id = e.patient_id"""
    assert clinic.rows("billing_app", sql) == [("Nora Nielsen", "A123456780", 7, Decimal("9412.50"))]
    assert clinic.changed("billing_app", "UPDATE invoices SET amount = amount + 1") == 1  # not that of who pays alone
    refused = {
        "SELECT body FROM clinical_notes": "42501",
        "SELECT id FROM clinical_notes WHERE body LIKE '%afraid%'": "42501",
        "SELECT id, encounter_id FROM clinical_notes": None,
        "SELECT drug FROM prescriptions": "42703",
        "SELECT avg(value) FROM lab.results": "42703",
        "SELECT salary FROM staff": "42703",
        "UPDATE patients SET full_name = 'x'": "42501",
        "SELECT public.age_in_years(birth_date) FROM patients": "42501",
    }
    assert {sql: clinic.error("billing_app", sql) for sql in refused} == refused


def test_clinic_research_gets_those_who_agreed_and_nobody_by_name(clinic: Example) -> None:
    given = [(NORA, "diagnoses"), (NORA, "lab_results"), (NORA, "sex"), (OSKAR, "diagnoses"), (QUIRIN, "lab_results")]
    with clinic.consent("grant", "research", *given):
        people = "SELECT birth_date::text, sex, postcode FROM patients ORDER BY birth_date"
        assert clinic.rows("research_app", people) == [("1951-01-01", "f", "80"), ("1988-01-01", None, "80")]
        stays = """SELECT d.icd10, e.admitted_at::date::text, e.reason, m.drug FROM patients p
                   JOIN encounters e ON e.patient_id = p.id JOIN diagnoses d ON d.encounter_id = e.id
                   LEFT JOIN prescriptions m ON m.encounter_id = e.id ORDER BY d.id"""
        assert clinic.rows("research_app", stays) == [
            ("M16.1", "2026-03-01", None, None), ("I10", "2026-03-01", None, None), ("K35.8", "2026-05-01", None, None),
        ]  # fmt: skip
        laboratory = "SELECT id, analyte, value, taken_at::date::text, device::text, raw FROM lab.results ORDER BY id"
        assert clinic.rows("research_app", laboratory) == [
            (1, "haemoglobin", 140, "2026-03-01", "10.20.0.0/16", {"run": None}),
            (2, "CRP", 10, "2026-03-01", "10.20.0.0/16", {"run": None, "flags": [None]}),
            (5, "haemoglobin", None, "2025-11-01", None, {"error": None}),
        ]
        assert clinic.rows("research_app", "SELECT count(*) FROM lab.results WHERE value = 138") == [(0,)]
        assert clinic.error("research_app", "SELECT full_name FROM patients") == "42703"
        assert clinic.error("research_app", "SELECT body FROM clinical_notes") == "42501"


def test_clinic_codes_are_the_same_within_a_partner_only(clinic: Example) -> None:
    with (
        clinic.consent("grant", "research", (NORA, "diagnoses")),
        clinic.consent("grant", "reminders", (NORA, "phone")),
    ):
        sql = "SELECT p.id FROM patients p JOIN appointments a ON a.patient_id = p.id"
        codes = {login: clinic.rows(login, sql) for login in ("research_app", "reminders_app", "ward_surgery")}
        research, reminders = codes["research_app"], codes["reminders_app"]
        assert len(research) == len(reminders) == 1
        assert research != reminders
        assert NORA not in (str(research[0][0]), str(reminders[0][0]))
        assert clinic.rows("research_app", "SELECT count(*) FROM patients WHERE id = %s", research[0]) == [(1,)]
        assert clinic.rows("research_app", "SELECT count(*) FROM patients WHERE id = %s", [NORA]) == [(0,)]


def test_clinic_reminders(clinic: Example) -> None:
    sql = """SELECT p.full_name, p.phone, p.email, a.department
             FROM patients p JOIN appointments a ON a.patient_id = p.id ORDER BY a.starts_at"""
    given = [(person, "phone") for person in (NORA, OSKAR, PIA, QUIRIN)]
    with clinic.consent("grant", "reminders", *given, (NORA, "email")):
        nora, pia = ("Nora", "+49 89 5550201", "nora@example.org"), ("Pia", "+49 89 5550203", None)
        assert clinic.rows("reminders_app", sql) == [(*nora, "Orthopaedics"), (*pia, "Lungs")]
        with clinic.consent("withdraw", "reminders", (NORA, "appointments")):
            assert clinic.rows("reminders_app", sql) == [(*nora, "the clinic"), (*pia, "Lungs")]
        assert clinic.changed("reminders_app", "UPDATE appointments SET reminded_at = now()") == 2
        assert clinic.error("reminders_app", "UPDATE patients SET phone = '1'") == "42501"
        assert clinic.error("reminders_app", "SELECT reason FROM appointments") == "42703"
    assert clinic.rows("reminders_app", sql) == []


# -- the bank ------------------------------------------------------------------------------------------------------


def test_bank_online(bank: Example) -> None:
    sql = """SELECT c.full_name, sum(core.in_euro(a.balance, a.currency)) FROM core.customers c
             JOIN core.accounts a USING (customer_no) GROUP BY c.full_name HAVING count(*) > 0 ORDER BY 1"""
    assert bank.rows("online_web", sql) == [
        ("Alva Amsel", Decimal("21840.55")), ("Bruno Birk", Decimal("-84.10")),
        ("Cleo Clemens", Decimal("96410.00")), ("Dario Dorn", Decimal("240.00")),
    ]  # fmt: skip
    running = """SELECT id, sum(amount) OVER (PARTITION BY iban ORDER BY booked_at) FROM core.transactions
                 WHERE iban = 'DE02100100100000010001' ORDER BY id"""
    assert bank.rows("online_mobile", running) == [(1, Decimal("-64.90")), (2, Decimal("4145.10"))]
    assert bank.rows("online_web", "SELECT pan FROM core.cards ORDER BY id LIMIT 1") == [("411111******1111",)]
    assert bank.rows("online_web", "SELECT count(*) FROM core.suspicions") == [(0,)]
    assert bank.changed("online_web", "UPDATE core.customers SET email = NULL WHERE customer_no = 'K-10001'") == 1
    refused = {
        "UPDATE core.accounts SET balance = 1": "42501",
        "UPDATE core.customers SET tax_id = '1'": "42501",
        "SELECT pin FROM core.cards": "42703",
        "SELECT identity FROM core.customers": "42703",
        "SELECT reason FROM core.suspicions": "42501",
        "SELECT c.full_name FROM core.customers c JOIN core.suspicions s USING (customer_no)": "42501",
        "EXPLAIN SELECT * FROM core.accounts": "42501",
    }
    assert {sql: bank.error("online_web", sql) for sql in refused} == refused


def test_bank_fraud_follows_codes(bank: Example) -> None:
    sql = """SELECT a.customer_no, a.iban, count(*), sum(t.amount), min(s.browser), min(s.address::text)
             FROM core.transactions t JOIN core.accounts a ON a.iban = t.iban
             JOIN core.suspicions x ON x.customer_no = a.customer_no
             JOIN web.sessions s ON s.customer_no = a.customer_no
             WHERE t.booked_at::timestamp BETWEEN s.started_at AND s.started_at + interval '1 hour' GROUP BY 1, 2"""
    ((customer, iban, *rest),) = bank.rows("fraud_app", sql)
    assert rest == [2, Decimal("-18000.00"), "Chrome", "198.51.100.0/24"]
    assert customer.startswith("c-")
    assert len(customer) == 14
    assert len(iban) == 20
    with bank.connect("fraud_app") as connection, connection.transaction(force_rollback=True):
        blocked = connection.execute("UPDATE core.cards SET status = 'blocked' WHERE iban = %s RETURNING id", [iban])
        assert blocked.fetchall() == [(3,)]
    assert bank.rows("fraud_app", "SELECT identity FROM core.customers WHERE opened_on = '2014-05-02'") == [
        ({"by": None, "document": {"kind": None, "number": None}},)
    ]
    assert bank.rows("fraud_app", "SELECT kind FROM core.accounts WHERE iban LIKE 'DE%'") == []
    assert bank.error("fraud_app", "SELECT pan FROM core.cards") == "42703"
    assert bank.error("fraud_app", "SELECT full_name FROM core.customers") == "42703"
    assert bank.error("fraud_app", "UPDATE core.cards SET pan = '1'") == "42703"


def test_bank_marketing(bank: Example) -> None:
    sql = "SELECT full_name, email, birth_date::text, occupation, income FROM core.customers ORDER BY opened_on"
    cleo = (None, "c***@e***.org", "1964-01-01", "lawyer", 120000)
    alva = (None, "a***@e***.org", "1979-01-01", "architect", 70000)
    bruno = (None, "b***@e***.org", "1996-01-01", "student", None)
    assert bank.rows("marketing_app", sql) == [cleo, alva, bruno]
    with (
        bank.consent("grant", "marketing", ("K-10001", "email"), ("K-10001", "full_name"), ("K-10002", "email")),
        bank.consent("withdraw", "marketing", ("K-10003", "occupation")),
    ):
        assert bank.rows("marketing_app", sql) == [
            (*cleo[:3], "not said", 120000),
            ("Alva Amsel", "alva@example.org", *alva[2:]),
            (None, "bruno@example.org", *bruno[2:]),
        ]
        wealthy = "SELECT count(*), count(*) FILTER (WHERE income > 120000) FROM core.customers WHERE income >= 100000"
        assert bank.rows("marketing_app", wealthy) == [(1, 0)]
    codes = [bank.rows(login, "SELECT customer_no FROM core.customers") for login in ("marketing_app", "fraud_app")]
    assert not {code for (code,) in codes[0]} & {code.removeprefix("c-") for (code,) in codes[1]}
    assert bank.error("marketing_app", "SELECT balance FROM core.accounts") == "42703"
    assert bank.error("marketing_app", "UPDATE core.customers SET email = 'x'") == "42501"


def test_bank_bureau(bank: Example) -> None:
    people = "SELECT full_name, birth_date::text, postcode FROM core.customers"
    loans = "SELECT l.principal, l.overdue_days FROM core.customers c JOIN core.loans l USING (customer_no)"
    given = [("K-10001", "credit_history"), ("K-10001", "full_name"), ("K-10003", "credit_history")]
    with bank.consent("grant", "bureau", *given):
        assert bank.rows("kredita_app", people) == [("Alva Amsel", None, "204")]  # K-10003 has no loan
        assert bank.rows("kredita_app", loans) == [(Decimal(183000), 0)]
        assert bank.rows("kredita_app", "SELECT count(*), max(principal) FROM core.loans") == [(1, Decimal(183000))]
    assert bank.rows("kredita_app", people) == []


def test_bank_auditors_read_and_do_not_write(bank: Example) -> None:
    sql = """SELECT c.full_name, s.reason, w.started_at::text FROM core.suspicions s JOIN core.customers c USING (customer_no)
             JOIN web.sessions w USING (customer_no)"""
    assert bank.rows("audit_app", sql) == [("Cleo Clemens", "two large payments at night", "2026-02-03 03:00:00")]
    assert bank.rows("audit_app", "EXPLAIN SELECT * FROM core.customers WHERE income > 100000")
    assert bank.error("audit_app", "UPDATE core.customers SET income = 1") == "42501"
    assert bank.error("audit_app", "SELECT pin FROM core.cards") == "42703"
    assert bank.error("audit_app", "SELECT core.in_euro(1, 'USD')") == "42501"


def test_trusted_apps_pass_and_are_logged(bank: Example) -> None:
    sql = "SELECT pan FROM core.cards WHERE id = 1"
    assert bank.rows("bank_deploy", sql) == [("4111111111111111",)]
    wanted = ("bank_deploy", "migrations", "SELECT pan FROM core.cards WHERE id = $1")
    deadline = time.monotonic() + 10
    while wanted not in {(r["login"], r["app"], r["statement"]) for r in bank.gateway.records("statement")}:
        assert time.monotonic() < deadline, "the audit log has it within a moment"
        time.sleep(0.01)
