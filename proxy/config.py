"""The settings file, consentry.yaml: read, checked, with defaults that are safe on one machine (settings.md).

All errors are found at once, each with file and line. This is also where rule files are read from disk.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from proxy.errors import ConsentryError, UnreachableError
from proxy.source_settings import SourcePlace, fields_of_kind
from proxy.yaml_lines import Place, Problem, ProblemsError, nearest, read_yaml

_SIZES = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_LATER = {
    "auth.users": "auth mode terminate",
    "auth.upstream_user": "auth mode terminate",
    "auth.upstream_password": "auth mode terminate",
    "tls.client_ca": "tls mode verify-client",
}

_LATER_WORDS = {
    "terminate": "auth mode terminate",
    "verify-client": "tls mode verify-client",
    "oidc": "login by OpenID Connect",
}


def _size(value: Any) -> int:
    return int(_with_unit(value, _SIZES, "a size such as 16MB"))


def seconds(value: Any) -> float:
    """A time with a unit, such as 5s, in seconds. Raises ValueError."""
    return _with_unit(value, _TIMES, "a time such as 5s")


def _with_unit(value: Any, units: Mapping[str, float], what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    unit = found[2].lower() if found else ""
    if found is None or (unit and unit not in units):
        raise ValueError(f"{what} is expected, not {value} (units: {', '.join(units)})")
    return float(found[1]) * units.get(unit, 1)


def _addresses(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _address(value: str) -> str:
    port = re.fullmatch(r".+:(\d{1,5})", value)
    if not value.startswith("/") and (port is None or int(port[1]) > 65_535):
        raise ValueError(f'"{value}" is neither host:port nor the folder of a unix socket')
    return value


def _upstream(value: str) -> str:
    parse_upstream(value, "")
    return value


def _dsn(value: str) -> str:
    # The value itself is not shown: a password may be in it.
    if value and not _uri(value, "postgresql://user@host:port/name").hostname and "host=" not in value:
        raise ValueError("the URI names no host: postgresql://user@host:port/name")
    return value


def _syslog(value: str) -> str:
    parts = urlsplit(value)
    placed = (
        parts.path.startswith("/") and not parts.netloc if parts.scheme == "unix" else parts.hostname and parts.port
    )
    if value and not (parts.scheme in ("udp", "tcp", "unix") and placed):
        raise ValueError("write udp://host:514, tcp://host:601 or unix:///dev/log")
    return value


MOST_WORKERS = 512

_WorkersInput = Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_WORKERS)]


def _workers(value: Any) -> Any:
    if value == "auto":
        return value
    number = int(value) if isinstance(value, str) and value.isdecimal() else value  # it may be of the environment
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_WORKERS:
        raise ValueError(f'"{value}" is neither auto nor a number from 1 to {MOST_WORKERS}')
    return number


def _word(value: Any) -> Any:
    """YAML's bare on, off, yes and no are words where a setting has such a value."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


_SIZE = BeforeValidator(_size, json_schema_input_type=int | str)
Seconds = Annotated[float, BeforeValidator(seconds, json_schema_input_type=float | str)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """One database that apps may ask for."""

    upstream: Annotated[str, AfterValidator(_upstream)] = Field(
        description="URI of the database: postgresql://host:port/name?sslmode=verify-full&sslrootcert=..."
    )
    rules: str = Field(description="A file of rules, or a folder of *.yaml files.")
    sources: dict[str, SourcePlace] = Field(default={}, description="Where the sources are that the rules name.")


class AuthSettings(_Section):
    mode: Literal["passthrough"] = Field(
        default="passthrough", description="The database checks the app's own password."
    )


class TlsSettings(_Section):
    mode: Annotated[Literal["off", "prefer", "require"], BeforeValidator(_word)] = Field(
        default="off", description="TLS to clients; `prefer` and `require` need certificate and key."
    )
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _has_files(self) -> TlsSettings:
        if self.mode != "off" and not (self.certificate and self.key):
            raise ValueError(f"mode {self.mode} needs certificate and key")
        return self


class RotateSettings(_Section):
    """When a file of the audit log is ended and compressed."""

    size: Annotated[int, Field(ge=1), _SIZE] = 256 * 1024**2
    every: Annotated[Seconds, Field(gt=0)] = Field(default=86_400.0, description="Counted from midnight UTC.")


class AuditSettings(_Section):
    directory: Path = Path("audit")
    required: bool = Field(
        default=True,
        description="Nothing is answered that no written record covers; while none can be written, all is refused.",
    )
    fsync: bool = Field(
        default=False,
        description="Written means: on the disk itself; otherwise: given to the operating system, which a crash of "
        "the gateway does not harm, but one of the machine may.",
    )
    rotate: RotateSettings = RotateSettings()
    keep: Seconds = Field(default=0.0, description="How long files are kept after their end; 0: for ever.")
    key: Path = Field(default=Path("audit.key"), description="Signs checkpoints; made at the first start.")
    syslog: Annotated[str, AfterValidator(_syslog)] = Field(
        default="",
        description="Where records are sent as well: udp://host:514, tcp://host:601 or unix:///dev/log (RFC 5424).",
    )
    text: Literal["normalised", "full"] = Field(
        default="normalised", description="normalised: constants out of the text."
    )


class ControlSettings(_Section):
    dsn: Annotated[str, AfterValidator(_dsn)] = Field(
        default="", description="Consentry's own connection; the default is the upstream, as user consentry."
    )
    password_file: Path | None = Field(default=None, description="A file with the password for this connection.")


class LimitSettings(_Section):
    connections: int = Field(default=10_000, ge=1)
    statement_bytes: Annotated[int, Field(ge=1), _SIZE] = 16 * 1024**2
    idle_timeout: Seconds = 0.0
    connect_timeout: Seconds = 5.0


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")):
        raise ValueError(f'"{value}" is no address such as "https://login.example.org"')
    return value


class OidcSettings(_Section):
    """The organisation's own login of customers: an OpenID Connect provider."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(description="As the provider's tokens name it.")
    client_id: str = Field(min_length=1)
    client_secret_file: Path | None = Field(default=None, description="None for a public client.")
    subject_claim: str = Field(default="sub", description="The claim that is the customer's subject key.")
    scopes: list[str] = Field(default=["openid"], description="What is asked for; openid is among it.")


class LoginSettings(_Section):
    """How customers log in."""

    mode: Literal["token"] = Field(default="token", description="Signed links that the organisation's own site makes.")
    oidc: OidcSettings | None = Field(default=None, description="A login of the organisation's own, beside links.")
    secret_file: Path | None = Field(
        default=None,
        description="The key of signed links and sessions; made where it is missing. Without it no customer logs in.",
    )

    @model_validator(mode="after")
    def _sessions_need_a_key(self) -> Self:
        if self.oidc is not None and self.secret_file is None:
            raise ValueError("oidc needs secret_file too: sessions are signed with it")
        return self


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?", value):
        raise ValueError(f'"{value}" is no site such as "https://www.example.org"')
    return value


def _colour(value: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError(f'"{value}" is no colour such as "#1f5f8b"')
    return value


class OrganisationSettings(_Section):
    """Whose pages they are, and how they look."""

    name: str = Field(default="", description="As customers know it.")
    logo: Path | None = Field(default=None, description="An image (svg, png, jpeg, webp) for the pages' head.")
    colour: Annotated[str, AfterValidator(_colour)] = Field(
        default="#1f5f8b", description="Of links and switches; made darker or lighter where it could not be read."
    )
    texts: Path | None = Field(default=None, description="A folder of LANGUAGE.yaml with words of its own.")
    languages: list[str] = Field(default=["en", "de", "ar"], min_length=1, description="The first one is the default.")
    embed_from: list[Annotated[str, AfterValidator(_origin)]] = Field(
        default=[], description="Sites that may embed the form that collects consent: https://www.example.org."
    )


class WebSettings(_Section):
    """Customer pages and the consent API."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8480"
    database: str | None = Field(
        default=None, description="The database that it is about; needed where there are several."
    )
    base_url: str = Field(default="", description="The address that customers see, where a proxy stands before it.")
    login: LoginSettings = LoginSettings()
    organisation: OrganisationSettings = OrganisationSettings()
    import_bytes: Annotated[int, Field(ge=1), _SIZE] = Field(
        default=256 * 1024**2, description="The largest file that POST /api/consents/import takes."
    )


class Settings(_Section):
    """The whole file."""

    listen: Annotated[
        list[Annotated[str, AfterValidator(_address)]],
        BeforeValidator(_addresses, json_schema_input_type=str | list[str]),
    ] = Field(
        default=["127.0.0.1:6432"],
        min_length=1,
        description="host:port, a list of them, or the folder of a unix socket.",
    )
    workers: Annotated[Literal["auto"] | int, PlainValidator(_workers, json_schema_input_type=_WorkersInput)] = Field(
        default="auto", description="Processes that share the addresses; auto is one a core."
    )
    databases: dict[str, DatabaseSettings] = Field(min_length=1)
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings = TlsSettings()
    audit: AuditSettings = AuditSettings()
    control: ControlSettings = ControlSettings()
    limits: LimitSettings = LimitSettings()
    web: WebSettings | None = Field(default=None, description="Without this section there is no web side.")


class SettingsError(ProblemsError):
    """The settings are wrong: `problems` says where and what would be right."""


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where a database is. `host` is a folder where the server listens on a unix socket."""

    host: str
    port: int
    dbname: str
    user: str | None
    sslmode: str
    sslrootcert: Path | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """Checked settings, and the folder that relative paths in them start from."""

    settings: Settings
    folder: Path

    def path(self, given: str | Path) -> Path:
        return self.folder / given

    def upstream(self, database: str) -> UpstreamAddress:
        address = parse_upstream(self.settings.databases[database].upstream, database)
        if address.sslrootcert is None:
            return address
        ca = self.path(address.sslrootcert)
        return UpstreamAddress(address.host, address.port, address.dbname, address.user, address.sslmode, ca)

    def organisation(self, database: str) -> str:
        """Whose data it is, as customers and reports name it."""
        web = self.settings.web
        return (web.organisation.name if web is not None else "") or database

    def control_dsn(self, database: str) -> str:
        """The URI of Consentry's own connection to a database. Raises UnreachableError: no file of the password."""
        address, control = self.upstream(database), self.settings.control
        name = quote(address.dbname, safe="")
        password = self.secret(control.password_file)
        if control.dsn:
            return urlsplit(with_password(control.dsn, password))._replace(path=f"/{name}", fragment="").geturl()
        user = quote(address.user or "consentry", safe="")
        user += f":{quote(password, safe='')}" if password is not None else ""
        query = f"sslmode={address.sslmode}"
        if address.sslrootcert is not None:
            query += f"&sslrootcert={quote(str(address.sslrootcert))}"
        if address.host.startswith("/"):
            query += f"&host={quote(address.host, safe='')}&port={address.port}"
            return f"postgresql://{user}@/{name}?{query}"
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"postgresql://{user}@{host}:{address.port}/{name}?{query}"

    def source(self, database: str, name: str) -> SourcePlace:
        """Where a source of the rules is. Raises ConsentryError where the settings do not say."""
        known = self.settings.databases[database].sources
        if name not in known:
            where = f"databases.{database}.sources"
            raise ConsentryError(
                f'source "{name}": the settings do not say where it is, in {where}{nearest(name, known)}'
            )
        return known[name]

    def secret(self, file: Path | None) -> str | None:
        """The text of a file with a password or token. Raises UnreachableError."""
        return None if file is None else read_text(self.path(file)).rstrip("\r\n")

    def rules_files(self, database: str) -> list[tuple[str, str]]:
        """(name, text) of each file of rules, by name. Raises UnreachableError where they cannot be read."""
        place = self.path(self.settings.databases[database].rules)
        if place.is_dir():
            files = sorted(file for file in place.glob("*.yaml") if not file.name.endswith(".test.yaml"))
            if not files:
                raise UnreachableError(f"{place}: no *.yaml file of rules is in this folder")
        else:
            files = [place]
        return [(self.shown(file), read_text(file)) for file in files]

    def shown(self, file: Path) -> str:
        """A file's name, as people who work here call it."""
        try:
            return str(file.relative_to(Path.cwd()))
        except ValueError:
            return str(file)


def with_password(uri: str, password: str | None) -> str:
    """The URI of a login, with this password in the place of its own; None: as it is."""
    if password is None:
        return uri
    parts = urlsplit(uri)
    login, _, where = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login.partition(':')[0]}:{quote(password, safe='')}@{where}").geturl()


def read_text(file: Path) -> str:
    """The text of a file. Raises UnreachableError that says what is wrong with it."""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UnreachableError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConsentryError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def load_settings(file: Path, environment: Mapping[str, str] | None = None, text: str | None = None) -> Configuration:
    """The settings of a file, or of what was read from it before (`text`).

    Raises SettingsError with all that is wrong, UnreachableError where it cannot be read.
    """
    text = read_text(file) if text is None else text
    problems: list[Problem] = []
    data, place = read_yaml(str(file), text, problems, switches_are_words=True)
    if problems and data is None:
        raise SettingsError(problems)
    if isinstance(data, dict):  # `audit:` with everything below it commented out
        data = {key: value for key, value in data.items() if value is not None or place.children[key].raw != ""}
    data = _expand("", data, place, os.environ if environment is None else environment, problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems += [_problem(detail, place) for detail in found if not place.find(detail["loc"]).reported]
    if problems or settings is None:
        raise SettingsError(problems)
    return Configuration(settings, file.resolve().parent)


def _expand(key: str, value: Any, place: Place, environment: Mapping[str, str], problems: list[Problem]) -> Any:
    """`${NAME}` and `${NAME:-default}` replaced, in every string."""
    if isinstance(value, dict):
        return {k: _expand(k, v, place.children.get(k, place), environment, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(key, v, place.children.get(i, place), environment, problems) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(found: re.Match[str]) -> str:
        given = environment.get(found["name"])
        if given is None and found["default"] is None:
            problems.append(place.problem(f"{key}: the environment has no variable {found['name']}"))
            place.reported = True
        return found["default"] or "" if given is None else given

    return _VARIABLE.sub(replace, value)


def _problem(detail: Any, root: Place) -> Problem:
    loc = detail["loc"]
    names = [step for step in loc if isinstance(step, str)]
    key = names[-1] if names else "the file"
    file, line = root.key_line(loc) if loc else (root.file, root.line)
    return Problem(file, line, _message(detail, key, loc))


def _message(detail: Any, key: str, loc: tuple[Any, ...]) -> str:
    """What is wrong and what would be right."""
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        later = _LATER.get(".".join(str(step) for step in loc))
        return f"{key}: not in this version: {later}" if later else f'unknown key "{key}"{nearest(key, _known(loc))}'
    if kind == "missing":
        return f"`{key}` is missing"
    if kind == "union_tag_not_found":
        return f"`kind` is missing in {key}"
    if kind == "union_tag_invalid":
        expected, given = detail["ctx"]["expected_tags"].replace("'", ""), detail["ctx"]["tag"]
        return f'kind: "{given}" is not one of {expected}{nearest(given, expected.split(", "))}'
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"]).replace("'", "")
        later = _LATER_WORDS.get(str(given))
        if later is not None:
            return f"{key}: not in this version: {later}; write {expected}"
        return f'{key}: "{given}" is not {expected}{nearest(str(given), re.split(", | or ", expected))}'
    if kind in _EXPECTED:
        shown = "" if given in (None, "") or isinstance(given, dict | list) else f', not "{given}"'
        return f"{key}: {_EXPECTED[kind].format(**detail.get('ctx', {}))} is expected{shown}"
    return f"{key}: {str(detail['msg']).removeprefix('Value error, ')}"


_EXPECTED = {
    "model_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "list_type": "a word or a list",
    "string_type": "a text",
    "path_type": "the path of a file",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "{ge} or more",
    "too_short": "at least one",
}


def _known(loc: tuple[Any, ...]) -> list[str]:
    """The keys of the section in which an unknown one stands."""
    sections: dict[str, type[BaseModel]] = {
        "auth": AuthSettings,
        "tls": TlsSettings,
        "audit": AuditSettings,
        "control": ControlSettings,
        "limits": LimitSettings,
        "databases": DatabaseSettings,
        "web": WebSettings,
    }
    below: dict[Any, type[BaseModel]] = {
        ("web", "login"): LoginSettings,
        ("web", "organisation"): OrganisationSettings,
        ("audit", "rotate"): RotateSettings,
    }
    if loc[0] == "databases" and "sources" in loc[2:3] and len(loc) > 5:  # databases, name, sources, name, kind, key
        return fields_of_kind(str(loc[4]), str(loc[5]) if len(loc) > 6 else None)
    if len(loc) > 2 and loc[:2] in below:
        return list(below[loc[:2]].model_fields)
    model = sections.get(str(loc[0]), Settings) if len(loc) > 1 else Settings
    return list(model.model_fields)


def _uri(uri: str, example: str) -> SplitResult:
    parts = urlsplit(uri)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(f"a URI is expected: {example}")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is no number up to 65535") from None
    return parts


def parse_upstream(uri: str, database: str) -> UpstreamAddress:
    """Reads postgresql://[user@]host[:port]/dbname?sslmode=... Raises ValueError."""
    parts = _uri(uri, "postgresql://host:port/name")
    if parts.password is not None:
        raise ValueError("no password belongs here: each app's own goes through (control.dsn is Consentry's own)")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(query.keys() - {"sslmode", "sslrootcert", "host", "port"})
    if unknown:
        known = ("sslmode", "sslrootcert", "host", "port")
        raise ValueError(f'unknown parameter "{unknown[0]}"{nearest(unknown[0], known)}')
    if not re.fullmatch(r"\d{1,5}", query.get("port", "5432")):
        raise ValueError("the port is no number up to 65535")
    modes = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
    mode = query.get("sslmode", "prefer")
    if mode not in modes:
        raise ValueError(f'sslmode "{mode}" is not one of {", ".join(modes)}{nearest(mode, modes)}')
    return UpstreamAddress(
        host=query.get("host") or unquote(parts.hostname or "127.0.0.1"),
        port=int(query.get("port") or parts.port or 5432),
        dbname=unquote(parts.path.lstrip("/")) or database,
        user=unquote(parts.username) if parts.username else None,
        sslmode=mode,
        sslrootcert=Path(query["sslrootcert"]) if "sslrootcert" in query else None,
    )


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of the settings, for editors."""
    return Settings.model_json_schema()
