"""From the settings of a source to its reader; and whether rules and settings fit each other."""

from __future__ import annotations

from typing import Any

from proxy.config import Configuration, with_password
from proxy.policy.mapped_sources import fields_of, key_of
from proxy.policy.rules import Rules
from proxy.policy.sources import Source
from proxy.profile.sources.csv_file import CsvReader
from proxy.profile.sources.http import HttpReader
from proxy.profile.sources.json_lines import JsonLinesReader
from proxy.profile.sources.mysql import MysqlReader
from proxy.profile.sources.parquet import ParquetReader
from proxy.profile.sources.postgresql import PostgresReader
from proxy.profile.sources.reading import Reader, Wanted
from proxy.profile.sources.replication import ReplicatedReader
from proxy.profile.sources.sqlite import SqliteReader
from proxy.source_settings import (
    CsvPlace,
    HttpPlace,
    JsonLinesPlace,
    MysqlPlace,
    ParquetPlace,
    PostgresPlace,
    SourcePlace,
)


def open_reader(configuration: Configuration, database: str, name: str) -> Reader:
    """The reader of a source. Raises ConsentryError: the settings do not say where it is; a secret cannot be read."""
    place = configuration.source(database, name)
    if isinstance(place, PostgresPlace):
        return open_followed(configuration, database, name) or PostgresReader(name, _dsn(configuration, place))
    if isinstance(place, MysqlPlace):
        ca = configuration.path(place.ca) if place.ca is not None else None
        return MysqlReader(name, place.dsn, configuration.secret(place.password_file), ca)
    if isinstance(place, HttpPlace):
        token = configuration.secret(place.token_file)
        return HttpReader(name, place.url, token, place.records, place.next, place.since, place.ends)
    path = configuration.path(place.path)
    if isinstance(place, CsvPlace):
        return CsvReader(name, path, place.delimiter, place.encoding)
    if isinstance(place, JsonLinesPlace):
        return JsonLinesReader(name, path)
    if isinstance(place, ParquetPlace):
        return ParquetReader(name, path)
    return SqliteReader(name, path)


def is_followed(place: SourcePlace | None) -> bool:
    """Whether the settings want its changes to be followed by replication."""
    return isinstance(place, PostgresPlace) and place.replication is not None


def open_followed(configuration: Configuration, database: str, name: str) -> ReplicatedReader | None:
    """The reader of a source that is followed by replication; None of any other. Raises as `open_reader`."""
    place = configuration.source(database, name)
    if not isinstance(place, PostgresPlace) or place.replication is None:
        return None
    return ReplicatedReader(name, _dsn(configuration, place), place.replication.slot, place.replication.publication)


def _dsn(configuration: Configuration, place: PostgresPlace) -> str:
    return with_password(place.dsn, configuration.secret(place.password_file))


def wanted(name: str, source: Source, after: str | None = None, only: tuple[Any, ...] | None = None) -> Wanted:
    """What the rules want of a source, from a cursor's value on, or of only some keys."""
    return Wanted(name, fields_of(source), key_of(source), source.records, source.cursor, after, only)


def misfits(configuration: Configuration, database: str, rules: Rules) -> tuple[list[str], list[str]]:
    """(errors, warnings): sources of the rules that the settings do not have, or have as another kind; the reverse."""
    places = configuration.settings.databases[database].sources
    errors, warnings = [], []
    for name, source in rules.sources.items():
        file, line = rules.where(("sources", name))
        at = f"{file}:{line}: {name}"
        if name not in places:
            errors.append(f"{at}: the settings do not say where it is, in databases.{database}.sources")
            continue
        place = places[name]
        kind = place.kind
        relational = kind in ("postgresql", "mysql", "sqlite")
        if relational and source.records is None:
            errors.append(f"{at}: `records` is missing: the relation to read of a source of kind {kind}")
        if not relational and source.records is not None:
            warnings.append(f"{at}: `records` means nothing to a source of kind {kind}")
        if source.cursor is not None and not relational and kind != "http":
            warnings.append(f"{at}: `cursor` means nothing to a source of kind {kind}: a file is read whole")
        if source.cursor is not None and is_followed(place):
            warnings.append(f"{at}: `cursor` means nothing to a source that is followed by replication")
    warnings += [
        f'databases.{database}.sources: "{name}" is not among the sources of the rules'
        for name in places
        if name not in rules.sources
    ]
    return errors, warnings
