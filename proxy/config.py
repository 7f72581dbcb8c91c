"""The settings file, consentry.yaml: read, checked, with defaults that are safe on one machine (settings.md).

All errors are found at once, each with file and line. This is also where rule files are read from disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from proxy.errors import ConsentryError, UnreachableError
from proxy.yaml_lines import Place, Problem, ProblemsError, nearest, read_yaml

_SIZES = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_LATER = {
    "web": "the web side is not in this version",
    "users": "auth mode terminate is not in this version",
    "upstream_user": "auth mode terminate is not in this version",
    "upstream_password": "auth mode terminate is not in this version",
    "client_ca": "tls mode verify-client is not in this version",
    "rotate": "rotation of the audit log is not in this version",
}

_LATER_WORDS = {"terminate": "auth mode terminate", "verify-client": "tls mode verify-client"}


def _size(value: Any) -> int:
    return int(_with_unit(value, _SIZES, "a size, such as 16MB"))


def _seconds(value: Any) -> float:
    return _with_unit(value, _TIMES, "a time, such as 5s")


def _with_unit(value: Any, units: Mapping[str, float], what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    unit = found[2].lower() if found else ""
    if found is None or (unit and unit not in units):
        raise ValueError(f"{what} is expected, not {value} (units: {', '.join(units)})")
    return float(found[1]) * units.get(unit, 1)


def _addresses(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _word(value: Any) -> Any:
    """YAML's bare on, off, yes and no are words where a setting has such a value."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Size = Annotated[int, BeforeValidator(_size)]
Seconds = Annotated[float, BeforeValidator(_seconds)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """One database that apps may ask for."""

    upstream: str = Field(
        description="URI of the database: postgresql://host:port/name?sslmode=verify-full&sslrootcert=..."
    )
    rules: str = Field(description="A file of rules, or a folder of *.yaml files.")


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


class AuditSettings(_Section):
    directory: Path = Path("audit")
    required: bool = Field(default=True, description="A statement whose record cannot be written is refused.")
    text: Literal["normalised", "full"] = Field(
        default="normalised", description="normalised: constants out of the text."
    )


class ControlSettings(_Section):
    dsn: str = Field(
        default="", description="Consentry's own connection; the default is the upstream, as user consentry."
    )


class LimitSettings(_Section):
    connections: int = Field(default=10_000, ge=1)
    statement_bytes: Size = 16 * 1024**2
    idle_timeout: Seconds = 0.0
    connect_timeout: Seconds = 5.0


class Settings(_Section):
    """The whole file."""

    listen: Annotated[list[str], BeforeValidator(_addresses)] = Field(
        default=["127.0.0.1:6432"], description="host:port, a list of them, or the folder of a unix socket."
    )
    workers: Literal["auto", 1] = Field(default="auto", description="One worker in this version.")
    databases: dict[str, DatabaseSettings] = Field(min_length=1)
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings = TlsSettings()
    audit: AuditSettings = AuditSettings()
    control: ControlSettings = ControlSettings()
    limits: LimitSettings = LimitSettings()


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

    def control_dsn(self, database: str) -> str:
        """The URI of Consentry's own connection to a database."""
        address = self.upstream(database)
        if self.settings.control.dsn:
            parts = urlsplit(self.settings.control.dsn)
            same_server = parts._replace(path="/" + quote(address.dbname, safe=""))
            return (same_server if parts.scheme else parts).geturl()
        user = quote(address.user or "consentry", safe="")
        query = f"sslmode={address.sslmode}"
        if address.sslrootcert is not None:
            query += f"&sslrootcert={quote(str(address.sslrootcert))}"
        if address.host.startswith("/"):
            query += f"&host={quote(address.host, safe='')}&port={address.port}"
            return f"postgresql://{user}@/{address.dbname}?{query}"
        return f"postgresql://{user}@{address.host}:{address.port}/{address.dbname}?{query}"

    def rules_files(self, database: str) -> list[tuple[str, str]]:
        """(name, text) of each file of rules, by name. Raises UnreachableError where they cannot be read."""
        place = self.path(self.settings.databases[database].rules)
        if place.is_dir():
            files = sorted(file for file in place.glob("*.yaml") if not file.name.endswith(".test.yaml"))
            if not files:
                raise UnreachableError(f"{place}: no *.yaml file of rules is in this folder")
        else:
            files = [place]
        return [(self._shown(file), read_text(file)) for file in files]

    def _shown(self, file: Path) -> str:
        try:
            return str(file.relative_to(Path.cwd()))
        except ValueError:
            return str(file)


def read_text(file: Path) -> str:
    """The text of a file. Raises UnreachableError that says what is wrong with it."""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UnreachableError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConsentryError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def load_settings(file: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """The settings of a file. Raises SettingsError with all that is wrong, UnreachableError where it cannot be read."""
    text = read_text(file)
    problems: list[Problem] = []
    data, place = read_yaml(str(file), text, problems, switches_are_words=True)
    data = _expand(data, place, os.environ if environment is None else environment, problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        problems += [_problem(detail, place) for detail in error.errors(include_url=False)]
    if settings is not None:
        problems += _check(settings, place)
    if problems or settings is None:
        raise SettingsError(problems)
    return Configuration(settings, file.resolve().parent)


def _expand(value: Any, place: Place, environment: Mapping[str, str], problems: list[Problem]) -> Any:
    """`${NAME}` and `${NAME:-default}` replaced, in every string."""
    if isinstance(value, dict):
        return {k: _expand(v, place.children.get(k, place), environment, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, place.children.get(i, place), environment, problems) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(found: re.Match[str]) -> str:
        given = environment.get(found["name"])
        if given is None and found["default"] is None:
            problems.append(place.problem(f"the environment has no variable {found['name']}"))
        return found["default"] or "" if given is None else given

    return _VARIABLE.sub(replace, value)


def _problem(detail: Any, root: Place) -> Problem:
    loc = detail["loc"]
    key = str(loc[-1]) if loc else "the file"
    file, line = root.key_line(loc) if loc else (root.file, root.line)
    if detail["type"] == "extra_forbidden":
        if key in _LATER:
            return Problem(file, line, f"{key}: not in this version: {_LATER[key]}")
        return Problem(file, line, f'unknown key "{key}"{nearest(key, _known(loc))}')
    if detail["type"] == "missing":
        return Problem(file, line, f"`{key}` is missing")
    if detail["type"] == "literal_error":
        expected = str(detail["ctx"]["expected"]).replace("'", "")
        later = _LATER_WORDS.get(str(detail["input"]))
        if later is not None or key == "workers":
            return Problem(file, line, f"{key}: not in this version: {later or 'several workers'}; write {expected}")
        return Problem(file, line, f'{key}: "{detail["input"]}" is not {expected}')
    message = str(detail["msg"]).removeprefix("Value error, ")
    return Problem(file, line, f"{key}: {message}")


def _known(loc: tuple[Any, ...]) -> list[str]:
    """The keys of the section in which an unknown one stands."""
    sections: dict[str, type[BaseModel]] = {
        "auth": AuthSettings,
        "tls": TlsSettings,
        "audit": AuditSettings,
        "control": ControlSettings,
        "limits": LimitSettings,
        "databases": DatabaseSettings,
    }
    model = sections.get(str(loc[0]), Settings) if len(loc) > 1 else Settings
    return list(model.model_fields)


def _check(settings: Settings, place: Place) -> list[Problem]:
    problems = []
    for name, database in settings.databases.items():
        try:
            parse_upstream(database.upstream, name)
        except ValueError as error:
            problems.append(Problem(*place.key_line(("databases", name, "upstream")), f"upstream: {error}"))
    if settings.tls.mode != "off" and not (settings.tls.certificate and settings.tls.key):
        problems.append(Problem(*place.key_line(("tls",)), f"tls mode {settings.tls.mode} needs certificate and key"))
    for number, address in enumerate(settings.listen):
        if not address.startswith("/") and not re.fullmatch(r".+:\d{1,5}", address):
            message = f'listen: "{address}" is neither host:port nor the folder of a unix socket'
            problems.append(Problem(*place.key_line(("listen", number)), message))
    return problems


def parse_upstream(uri: str, database: str) -> UpstreamAddress:
    """Reads postgresql://[user@]host[:port]/dbname?sslmode=... Raises ValueError."""
    parts = urlsplit(uri)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("a URI is expected: postgresql://host:port/name")
    if parts.password is not None:
        raise ValueError("no password belongs here: each app's own goes through (control.dsn is Consentry's own)")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(query.keys() - {"sslmode", "sslrootcert", "host", "port"})
    if unknown:
        known = ("sslmode", "sslrootcert", "host", "port")
        raise ValueError(f'unknown parameter "{unknown[0]}"{nearest(unknown[0], known)}')
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
