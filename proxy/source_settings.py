"""Where the rules' sources are, and how to log in there: `databases.NAME.sources` of the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class _Place(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _of_scheme(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        parts = urlsplit(value)  # the value itself is not shown: a password may be in it
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"a URI is expected: {schemes[0]}://host/name")
        if not _has_port(parts):
            raise ValueError("what follows the host is no port; in a password, / ? # @ are written %2F %3F %23 %40")
        return value

    return AfterValidator(check)


def _has_port(parts: SplitResult) -> bool:
    try:
        return "," in parts.netloc or parts.port != 0  # PostgreSQL takes several hosts
    except ValueError:
        return False


class CsvPlace(_Place):
    kind: Literal["csv"]
    path: Path
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"


class JsonLinesPlace(_Place):
    kind: Literal["jsonl"]
    path: Path


class ParquetPlace(_Place):
    kind: Literal["parquet"]
    path: Path


class SqlitePlace(_Place):
    kind: Literal["sqlite"]
    path: Path


def _slot(name: str) -> str:
    if not re.fullmatch("[a-z0-9_]{1,63}", name):
        raise ValueError("a slot has a name of lower case letters, digits and _, 63 at most")
    return name


class Replication(_Place):
    """The source itself tells what changed, by logical replication."""

    slot: Annotated[str, AfterValidator(_slot)] = Field(
        description="A replication slot of its server, which nobody else uses; made by the first sync."
    )
    publication: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        default="consentry", description="A publication that has the relation; made by the first sync, if it may."
    )


class PostgresPlace(_Place):
    kind: Literal["postgresql"]
    dsn: Annotated[str, _of_scheme("postgresql", "postgres")]
    password_file: Path | None = Field(default=None, description="A file with the password for this login.")
    replication: Replication | None = Field(default=None, description="Follow its changes by logical replication.")


class MysqlPlace(_Place):
    kind: Literal["mysql"]
    dsn: Annotated[str, _of_scheme("mysql", "mariadb")] = Field(description="mysql://user@host:port/name")
    password_file: Path | None = Field(default=None, description="A file with the password for this login.")
    ca: Path | None = Field(default=None, description="TLS, by a certificate that this one has signed.")


class HttpPlace(_Place):
    """Pages of JSON: each an array of records, or an object that has one, and the address of the next page."""

    kind: Literal["http"]
    url: Annotated[str, _of_scheme("https", "http")]
    token_file: Path | None = Field(default=None, description="Sent as a bearer token.")
    records: str = Field(default="", description="Where a page has its records, such as data.items; empty: it is them.")
    next: str | None = Field(
        default=None, description="Where a page has the address of the next one; else next, if any."
    )
    ends: Literal["null", "absent"] = Field(
        default="null", description="Of the last page: its `next` is null or empty, or is not there."
    )
    since: str | None = Field(default=None, description="The parameter that takes the cursor's last value.")


SourcePlace = Annotated[
    CsvPlace | JsonLinesPlace | ParquetPlace | SqlitePlace | PostgresPlace | MysqlPlace | HttpPlace,
    Field(discriminator="kind"),
]
PLACES: tuple[type[BaseModel], ...] = (
    CsvPlace, JsonLinesPlace, ParquetPlace, SqlitePlace, PostgresPlace, MysqlPlace, HttpPlace,
)  # fmt: skip


def fields_of_kind(kind: str, section: str | None = None) -> list[str]:
    """The keys of a place, or of a section in it, for errors that name the nearest one."""
    if section is not None:
        return list(Replication.model_fields)
    return next(
        (list(model.model_fields) for model in PLACES if kind in str(model.model_fields["kind"].annotation)), []
    )
