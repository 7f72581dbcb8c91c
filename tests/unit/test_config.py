"""The settings file: what is taken, what it becomes, and what is said of each slip."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.config import Configuration, Settings, SettingsError, load_settings, settings_schema
from proxy.errors import ConsentryError, UnreachableError

BASE = "databases:\n  shop: {upstream: 'postgresql://db/shop', rules: rules.yaml}\n"

Load = Callable[..., Configuration]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, **environment: str) -> Configuration:
        file = tmp_path / "consentry.yaml"
        file.write_text(text)
        return load_settings(file, environment)

    return load_text


@pytest.fixture
def problems(load: Load) -> Callable[..., list[tuple[int, str]]]:
    """(line, message) of everything that is wrong with a text."""

    def problems_of(text: str, **environment: str) -> list[tuple[int, str]]:
        with pytest.raises(SettingsError) as caught:
            load(text, **environment)
        assert {Path(p.file).name for p in caught.value.problems} == {"consentry.yaml"}
        assert str(caught.value).count("\n") == len(caught.value.problems) - 1
        return [(p.line, p.message) for p in caught.value.problems]

    return problems_of


Problems = Callable[..., list[tuple[int, str]]]


# What is taken.


def test_everything_but_databases_has_a_default_that_is_safe_on_one_machine(load: Load) -> None:
    given = load(BASE).settings.model_dump(exclude={"databases"})
    assert given == {
        "listen": ["127.0.0.1:6432"],
        "workers": "auto",
        "auth": {"mode": "passthrough"},
        "tls": {"mode": "off", "certificate": None, "key": None},
        "audit": {
            "directory": Path("audit"),
            "required": True,
            "fsync": False,
            "syslog": "",
            "rotate": {"size": 256 * 1024**2, "every": 86_400.0},
            "keep": 0.0,
            "key": Path("audit.key"),
            "text": "normalised",
        },
        "control": {"dsn": "", "password_file": None},
        "limits": {
            "connections": 10_000,
            "statement_bytes": 16 * 1024**2,
            "idle_timeout": 0.0,
            "connect_timeout": 5.0,
        },
        "web": None,
    }


EVERYTHING = """\
listen: [0.0.0.0:6432, '[::1]:6432', /run/consentry]
workers: 1
databases:
  shop: {upstream: 'postgresql://svc@db:5433/store?sslmode=verify-full&sslrootcert=ca.pem', rules: rules/}
  bank: {upstream: 'postgres:///ledger?host=/run/postgresql&port=5434', rules: bank.yaml}
auth: {mode: passthrough}
tls: {mode: require, certificate: server.crt, key: /etc/key.pem}
audit: {directory: log, required: false, fsync: true, rotate: {size: 1MB, every: 1h}, keep: 90d, key: k, text: full, syslog: "tcp://siem:601"}
control: {dsn: 'postgresql://own@db:5433/any?sslmode=require', password_file: secret}
limits: {connections: 5, statement_bytes: 1MB, idle_timeout: 10m, connect_timeout: 500ms}
web: {listen: '0.0.0.0:80', database: shop, base_url: 'https://me.example.org', login: {mode: token, secret_file: web.key}}
"""


def test_every_setting_is_taken(load: Load) -> None:
    settings = load(EVERYTHING).settings
    given = settings.model_dump()
    assert given["listen"] == ["0.0.0.0:6432", "[::1]:6432", "/run/consentry"]
    assert given["workers"] == 1
    assert given["tls"] == {"mode": "require", "certificate": Path("server.crt"), "key": Path("/etc/key.pem")}
    assert given["audit"] == {
        "directory": Path("log"),
        "required": False,
        "fsync": True,
        "syslog": "tcp://siem:601",
        "rotate": {"size": 1024**2, "every": 3600.0},
        "keep": 90 * 86_400.0,
        "key": Path("k"),
        "text": "full",
    }
    assert given["limits"] == {
        "connections": 5,
        "statement_bytes": 1024**2,
        "idle_timeout": 600.0,
        "connect_timeout": 0.5,
    }
    assert set(given) == {key for key in Settings.model_fields if re.search(rf"^{key}:", EVERYTHING, re.MULTILINE)}


def test_upstreams_are_read_and_paths_start_from_the_folder_of_the_file(load: Load, tmp_path: Path) -> None:
    configuration = load(EVERYTHING)
    shop, bank = configuration.upstream("shop"), configuration.upstream("bank")
    assert (shop.host, shop.port, shop.dbname, shop.user, shop.sslmode) == ("db", 5433, "store", "svc", "verify-full")
    assert shop.sslrootcert == tmp_path / "ca.pem"
    assert (bank.host, bank.port, bank.dbname, bank.user) == ("/run/postgresql", 5434, "ledger", None)
    assert (bank.sslmode, bank.sslrootcert) == ("prefer", None)
    assert configuration.path("log") == tmp_path / "log"
    assert configuration.path("/etc/key.pem") == Path("/etc/key.pem")


@pytest.mark.parametrize(
    ("uri", "host", "port", "dbname", "user"),
    [
        ("postgresql://db", "db", 5432, "shop", None),
        ("postgresql://db/", "db", 5432, "shop", None),
        ("postgresql://[::1]:6000/x", "::1", 6000, "x", None),
        ("postgresql:///x", "127.0.0.1", 5432, "x", None),
        ("postgresql://an%40n@db/my%20shop", "db", 5432, "my shop", "an@n"),
    ],
)
def test_what_an_upstream_leaves_out(load: Load, uri: str, host: str, port: int, dbname: str, user: str | None) -> None:
    address = load(f"databases:\n  shop: {{upstream: '{uri}', rules: r}}\n").upstream("shop")
    assert (address.host, address.port, address.dbname, address.user) == (host, port, dbname, user)


@pytest.mark.parametrize("word", ["off", "'off'", '"off"', "Off"])
def test_bare_switches_are_words(load: Load, word: str) -> None:
    assert load(BASE + f"tls: {{mode: {word}}}\n").settings.tls.mode == "off"


@pytest.mark.parametrize(
    ("word", "value"), [("on", True), ("off", False), ("no", False), ("true", True), ("yes", True)]
)
def test_switches_of_settings_that_are_true_or_false(load: Load, word: str, value: bool) -> None:
    assert load(BASE + f"audit: {{required: {word}}}\n").settings.audit.required is value


@pytest.mark.parametrize(
    ("given", "size"),
    [("1", 1), ("300B", 300), ("16MB", 16 << 20), ("2 kb", 2048), ("1.5GB", 3 << 29), ("64mb", 64 << 20)],
)
def test_units_of_sizes(load: Load, given: str, size: int) -> None:
    assert load(BASE + f"limits: {{statement_bytes: {given}}}\n").settings.limits.statement_bytes == size


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("0", 0), ("5", 5), ("0.5", 0.5), ("250ms", 0.25), ("5s", 5), ("1.5m", 90), ("2h", 7200), ("1 d", 86400)],
)
def test_units_of_times(load: Load, given: str, seconds: float) -> None:
    assert load(BASE + f"limits: {{idle_timeout: {given}}}\n").settings.limits.idle_timeout == seconds


def test_a_section_with_nothing_in_it_is_as_if_it_were_not_there(load: Load) -> None:
    assert load(BASE + "audit:\n  # directory: log\nlimits:\n").settings == load(BASE).settings


# The environment.


def test_variables_of_the_environment(load: Load) -> None:
    text = """\
listen: ['${HOST:-127.0.0.1}:${PORT}', '${MORE:-/run/x}']
workers: ${WORKERS:-1}
databases:
  shop: {upstream: 'postgresql://${DB}/shop', rules: '${EMPTY}rules'}
audit: {required: '${REQUIRED:-off}'}
control: {dsn: '${DSN:-}'}
limits: {connections: '${N}', statement_bytes: '${SIZE:-2MB}'}
"""
    settings = load(text, PORT="7000", DB="db.internal", N="12", EMPTY="", MORE="/run/y").settings
    assert settings.listen == ["127.0.0.1:7000", "/run/y"]
    assert (settings.workers, settings.audit.required, settings.control.dsn) == (1, False, "")
    assert settings.databases["shop"].upstream == "postgresql://db.internal/shop"
    assert settings.databases["shop"].rules == "rules"
    assert (settings.limits.connections, settings.limits.statement_bytes) == (12, 2 << 20)


def test_the_environment_is_the_processs_own_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BASE + "limits: {connections: '${CONSENTRY_TEST_N}'}\n")
    monkeypatch.setenv("CONSENTRY_TEST_N", "7")
    assert load_settings(file).settings.limits.connections == 7


def test_a_missing_variable_is_one_error_that_names_the_key(problems: Problems) -> None:
    text = BASE.replace("rules.yaml", "'${RULES}'") + "limits: {statement_bytes: '${SIZE}', connections: '${N}x'}\n"
    assert problems(text) == [
        (2, "rules: the environment has no variable RULES"),
        (3, "connections: the environment has no variable N"),
        (3, "statement_bytes: the environment has no variable SIZE"),
    ]


# Consentry's own connection.


@pytest.mark.parametrize(
    ("upstream", "dsn"),
    [
        ("postgresql://db:5433/store", "postgresql://consentry@db:5433/store?sslmode=prefer"),
        ("postgresql://svc@db", "postgresql://svc@db:5432/shop?sslmode=prefer"),
        ("postgresql://[::1]/my%20shop", "postgresql://consentry@[::1]:5432/my%20shop?sslmode=prefer"),
        (
            "postgresql:///x?host=/run/pg&port=5434&sslmode=disable",
            "postgresql://consentry@/x?sslmode=disable&host=%2Frun%2Fpg&port=5434",
        ),
    ],
)
def test_its_default_is_the_upstream_as_user_consentry(load: Load, upstream: str, dsn: str) -> None:
    assert load(f"databases:\n  shop: {{upstream: '{upstream}', rules: r}}\n").control_dsn("shop") == dsn


def test_its_certificate_is_the_upstreams(load: Load, tmp_path: Path) -> None:
    dsn = load(BASE.replace("/shop'", "/shop?sslmode=verify-full&sslrootcert=ca.pem'")).control_dsn("shop")
    assert dsn.startswith("postgresql://consentry@db:5432/shop?sslmode=verify-full&sslrootcert=/")
    assert dsn.endswith("/ca.pem")


def test_one_of_its_own_serves_each_database(load: Load) -> None:
    text = BASE + "  bank: {upstream: 'postgresql://db/a%2Fb', rules: r}\n"
    text += "control: {dsn: 'postgresql://own:p%40ss@db:5433/any?sslmode=require'}\n"
    configuration = load(text)
    assert configuration.control_dsn("shop") == "postgresql://own:p%40ss@db:5433/shop?sslmode=require"
    assert configuration.control_dsn("bank") == "postgresql://own:p%40ss@db:5433/a%2Fb?sslmode=require"


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("", "postgresql://consentry:s3%2F%40%20cret@db:5432/shop?sslmode=prefer"),
        ("postgresql://own@db/x", "postgresql://own:s3%2F%40%20cret@db/shop"),
        ("postgresql://own:other@db/x", "postgresql://own:s3%2F%40%20cret@db/shop"),
    ],
)
def test_its_password_may_be_in_a_file(load: Load, tmp_path: Path, dsn: str, expected: str) -> None:
    (tmp_path / "secret").write_text("s3/@ cret\n")
    assert load(BASE + f"control: {{dsn: '{dsn}', password_file: secret}}\n").control_dsn("shop") == expected


def test_a_password_file_that_is_not_there(load: Load, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="secret: No such file or directory"):
        load(BASE + "control: {password_file: secret}\n").control_dsn("shop")


# What is wrong.


def test_all_that_is_wrong_is_said_at_once(problems: Problems) -> None:
    text = """\
lissten: 127.0.0.1:1
databases:
  shop:
    upstream: http://db/shop
    rulez: rules
tls:
  mode: of
limits: {conections: 5, idle_timeout: soon}
"""
    assert problems(text) == [
        (1, 'unknown key "lissten" (did you mean "listen"?)'),
        (4, "`rules` is missing"),
        (4, "upstream: a URI is expected: postgresql://host:port/name"),
        (5, 'unknown key "rulez" (did you mean "rules"?)'),
        (7, 'mode: "of" is not off, prefer or require (did you mean "off"?)'),
        (8, "idle_timeout: a time such as 5s is expected, not soon (units: ms, s, m, h, d)"),
        (8, 'unknown key "conections" (did you mean "connections"?)'),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listne: x", 'unknown key "listne" (did you mean "listen"?)'),
        ("auth: {moed: passthrough}", 'unknown key "moed" (did you mean "mode"?)'),
        ("tls: {certifcate: x}", 'unknown key "certifcate" (did you mean "certificate"?)'),
        ("audit: {rotate: {sise: 1}}", 'unknown key "sise" (did you mean "size"?)'),
        ("audit: {dirctory: x}", 'unknown key "dirctory" (did you mean "directory"?)'),
        ("control: {dns: x}", 'unknown key "dns" (did you mean "dsn"?)'),
        ("limits: {timeout: 5}", 'unknown key "timeout" (did you mean "idle_timeout"?)'),
        ("limits: {bananas: 5}", 'unknown key "bananas"'),
        ("auth: {mode: passthru}", 'mode: "passthru" is not passthrough (did you mean "passthrough"?)'),
        ("tls: {mode: on}", 'mode: "on" is not off, prefer or require'),
        ("tls: {mode: prefer, key: k}", "tls: mode prefer needs certificate and key"),
        ("audit: {text: normalized}", 'text: "normalized" is not normalised or full (did you mean "normalised"?)'),
        ("audit: {required: maybe}", 'required: true or false is expected, not "maybe"'),
        ("audit: on", 'audit: a mapping (key: value) is expected, not "on"'),
        ("limits: {connections: 0}", 'connections: 1 or more is expected, not "0"'),
        ("limits: {connections: ten}", 'connections: a whole number is expected, not "ten"'),
        ("limits: {statement_bytes: 0}", 'statement_bytes: 1 or more is expected, not "0"'),
        ("limits: {statement_bytes: -1}", None),
        ("limits: {statement_bytes: 16XB}", None),
        ("limits: {statement_bytes: .inf}", None),
        ("limits: {connect_timeout: true}", None),
        ("limits: {connect_timeout: 5w}", None),
        ("listen: []", "listen: at least one is expected"),
        ("listen: 6432", 'listen: a word or a list is expected, not "6432"'),
        ("listen: [5]", 'listen: a text is expected, not "5"'),
        ("listen: localhost", 'listen: "localhost" is neither host:port nor the folder of a unix socket'),
        ("listen: '127.0.0.1:65536'", None),
        ("listen: [a:1, b]", 'listen: "b" is neither host:port nor the folder of a unix socket'),
        ("databases: {}", 'the key "databases" stands here twice; the first is in line 1'),
        ("control: {dsn: 'host=db dbname=x'}", "dsn: a URI is expected: postgresql://user@host:port/name"),
        ("control: {dsn: 'postgresql:///x'}", "dsn: the URI names no host: postgresql://user@host:port/name"),
        ("control: {dsn: 'postgresql://db:99999/x'}", "dsn: the port is no number up to 65535"),
    ],
)
def test_what_is_said_of_a_slip(problems: Problems, text: str, message: str | None) -> None:
    ((line, found),) = problems(BASE + text + "\n")
    assert line == 3
    expected = {
        "statement_bytes": "a size such as 16MB is expected, not .* (units: b, kb, mb, gb)",
        "connect_timeout": "a time such as 5s is expected, not .* (units: ms, s, m, h, d)",
        "listen": '"127.0.0.1:65536" is neither host:port nor the folder of a unix socket',
    }
    if message is None:
        key = found.partition(":")[0]
        assert re.fullmatch(re.escape(f"{key}: {expected[key]}").replace(r"\.\*", ".*"), found)
    else:
        assert found == message


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("db/shop", "a URI is expected: postgresql://host:port/name"),
        ("host=db dbname=shop", "a URI is expected: postgresql://host:port/name"),
        ("postgresql://db:70000/shop", "the port is no number up to 65535"),
        ("postgresql://db/shop?port=abc", "the port is no number up to 65535"),
        ("postgresql://db/shop?sslmod=require", 'unknown parameter "sslmod" (did you mean "sslmode"?)'),
        ("postgresql://db/shop?application_name=x", 'unknown parameter "application_name"'),
    ],
)
def test_upstreams_that_cannot_be_read(problems: Problems, uri: str, message: str) -> None:
    text = f"databases:\n  shop:\n    upstream: '{uri}'\n    rules: r\n"
    assert problems(text) == [(3, f"upstream: {message}")]


def test_sslmode_is_spelt_right(problems: Problems) -> None:
    ((line, message),) = problems(BASE.replace("/shop'", "/shop?sslmode=verfy-full'"))
    assert line == 2
    assert message.startswith('upstream: sslmode "verfy-full" is not one of disable,')
    assert message.endswith('(did you mean "verify-full"?)')


def test_passwords_are_in_no_message(problems: Problems) -> None:
    text = BASE.replace("//db", "//own:s3cret@db") + "control: {dsn: 'mysql://own:s3cret@db/x'}\n"
    found = problems(text)
    assert [line for line, _ in found] == [2, 3]
    assert "no password belongs here" in found[0][1]
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("given", ["0", "513", "two", "1.5", "true", "[]"])
def test_how_many_workers_there_may_be(problems: Problems, given: str) -> None:
    ((_, message),) = problems(f"{BASE}workers: {given}\n")
    assert message.startswith("workers: ")
    assert message.endswith("is neither auto nor a number from 1 to 512")


def test_what_this_version_does_not_do_is_an_error_that_says_so(problems: Problems) -> None:
    text = (
        BASE
        + """\
auth: {mode: terminate, users: users.yaml, upstream_user: svc, upstream_password: x}
tls: {mode: verify-client, client_ca: ca.crt}
web: {login: {mode: oidc}}
"""
    )
    assert problems(text) == [
        (3, "mode: not in this version: auth mode terminate; write passthrough"),
        (3, "upstream_password: not in this version: auth mode terminate"),
        (3, "upstream_user: not in this version: auth mode terminate"),
        (3, "users: not in this version: auth mode terminate"),
        (4, "client_ca: not in this version: tls mode verify-client"),
        (4, "mode: not in this version: tls mode verify-client; write off, prefer or require"),
        (5, "mode: not in this version: login by OpenID Connect; write token"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file: a mapping (key: value) is expected"),
        ("- listen\n", 1, "the file: a mapping (key: value) is expected"),
        ("listen: a:1\n", 1, "`databases` is missing"),
        ("databases: {}\n", 1, "databases: at least one is expected"),
        ("databases:\n  shop: x\n", 2, 'shop: a mapping (key: value) is expected, not "x"'),
        ("listen: a:1\ndatabases: [\n", 3, "not YAML: did not find expected node content"),
        ("databases:\n  shop: {upstream: 'postgresql://db/s', rules: r}\n\ttls: x\n", 3, None),
        ("databases:\n  shop: !!python/name:os.system x\n", 2, None),
        (
            "databases:\n  off: {upstream: 'postgresql://db/s', rules: r}\n",
            2,
            'off written bare is a truth value for YAML; where a name is meant, quote it: "off"',
        ),
        (BASE + "tls:\n  mode: off\n  mode: off\n", 5, 'the key "mode" stands here twice; the first is in line 4'),
    ],
)
def test_files_that_are_no_settings(problems: Problems, text: str, line: int, message: str | None) -> None:
    (found, *more) = problems(text)
    assert found[0] == line
    assert message is None or (found[1], more) == (message, [])


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"none\.yaml: No such file or directory"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(UnreachableError, match="Is a directory"):
        load_settings(tmp_path)
    (tmp_path / "latin1.yaml").write_bytes("listen: \xe9".encode("latin-1"))
    with pytest.raises(ConsentryError, match=r"latin1\.yaml: not UTF-8 text"):
        load_settings(tmp_path / "latin1.yaml")


# Files of rules.


def rules_of(load: Load, rules: str) -> list[tuple[str, str]]:
    return load(BASE.replace("rules.yaml", rules)).rules_files("shop")


def test_rules_are_a_file_or_a_folders_yaml_files_by_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for name in ("b.yaml", "a.yaml", "a.test.yaml", "c.yml", "readme.md"):
        (tmp_path / "rules" / name).write_text(name)
    assert [(Path(name).name, text) for name, text in rules_of(load, "rules/")] == [
        ("a.yaml", "a.yaml"),
        ("b.yaml", "b.yaml"),
    ]
    assert [text for _, text in rules_of(load, "rules/c.yml")] == ["c.yml"]


def test_files_of_rules_are_named_as_from_where_one_works(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert rules_of(load, "rules.yaml") == [("rules.yaml", "x")]


def test_rules_that_are_not_there(load: Load, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreachableError, match=r"no \*.yaml file of rules is in this folder"):
        rules_of(load, "empty")
    with pytest.raises(UnreachableError, match="none: No such file or directory"):
        rules_of(load, "none")


# The schema.


def test_the_schema_has_every_setting(load: Load) -> None:
    schema: dict[str, Any] = settings_schema()
    assert schema["required"] == ["databases"]
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert set(schema["$defs"]["LimitSettings"]["properties"]) == {
        "connections",
        "statement_bytes",
        "idle_timeout",
        "connect_timeout",
    }


# Where sources are.

SOURCES = BASE.replace("rules: rules.yaml}", "rules: rules.yaml, sources: {\n{}}}\n")


def test_places_of_sources(load: Load) -> None:
    text = SOURCES.replace(
        "{}", "  crm: {kind: csv, path: crm.csv},\n  old: {kind: mysql, dsn: 'mysql://r:${P}@h/n'}\n"
    )
    given = load(text, P="s3cret")
    assert given.source("shop", "crm").model_dump()["path"] == Path("crm.csv")
    assert given.source("shop", "old").model_dump()["dsn"] == "mysql://r:s3cret@h/n"
    with pytest.raises(ConsentryError, match=r'"crn": the settings do not say where.*did you mean "crm"'):
        given.source("shop", "crn")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("{kind: cvs, path: crm.csv}", 'kind: "cvs" is not one of csv, jsonl, .*did you mean "csv"'),
        ("{path: crm.csv}", "`kind` is missing in crm"),
        ("{kind: csv, pth: crm.csv, path: x}", 'unknown key "pth".*did you mean "path"'),
        ("{kind: csv}", "`path` is missing"),
        ("{kind: mysql, dsn: 'mysql://me:s3cret/x@host/name'}", "dsn: what follows the host is no port; in a password"),
        ("{kind: postgresql, dsn: 'host=x password=s3cret'}", "dsn: a URI is expected: postgresql://host/name"),
        (
            "{kind: postgresql, dsn: 'postgresql://h/n', replication: {slot: s, publicaton: p}}",
            'unknown key "publicaton" \\(did you mean "publication"',
        ),
        (
            "{kind: postgresql, dsn: 'postgresql://h/n', replication: {slot: Big}}",
            "slot: a slot has a name of lower case letters, digits and _, 63 at most",
        ),
    ],
)
def test_slips_in_places_of_sources(problems: Problems, place: str, said: str) -> None:
    found = problems(SOURCES.replace("{}", f"  crm: {place}\n"))
    assert len(found) == 1
    assert found[0][0] == 3
    assert re.match(said, found[0][1]), found
    assert "s3cret" not in found[0][1]
