"""`consentry audit verify` and `consentry audit keys`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.options import CONFIG, JSON
from proxy.cli.printing import print_json

if TYPE_CHECKING:
    import asyncpg

    from proxy.audit.chain import Checkpoint
    from proxy.audit.verify import Report
    from proxy.config import Configuration

keys = typer.Typer(help="The key that signs the audit log.", no_args_is_help=True)

_FOLDER = typer.Argument(None, help="The log's folder; the settings' own where it is left out.")
_PUBLIC_KEY = typer.Option(None, "--public-key", help="A public key in PEM; the settings' own where it is left out.")
_DSN = typer.Option(None, "--dsn", help="Compare with the checkpoints in the database at this URI.")
_OFFLINE = typer.Option(False, "--offline", help="Do not ask the settings' database for its checkpoints.")
_PAGE = 10_000


def verify(
    folder: Path | None = _FOLDER,
    public_key: Path | None = _PUBLIC_KEY,
    dsn: str | None = _DSN,
    offline: bool = _OFFLINE,
    as_json: bool = JSON,
    config: Path = CONFIG,
) -> None:
    """Proves that the audit log is whole, or says which record is the first bad one and what happened to it.

    Needs the public key alone; that nothing was cut off at the end, only the database's checkpoints prove. Exits with 1
    where anything is wrong. Example: consentry audit verify --public-key audit.key.pub /mnt/archive/audit
    """
    from proxy.audit.keys import public_file, read_public
    from proxy.audit.verifying import foreign_files
    from proxy.config import load_settings

    configuration = load_settings(config) if folder is None or public_key is None else None
    if configuration is not None:
        audit = configuration.settings.audit
        folder = folder or configuration.path(audit.directory)
        public_key = public_key or public_file(configuration.path(audit.key))
        if dsn is None and not offline:
            dsn = configuration.control_dsn(next(iter(configuration.settings.databases)))
    assert folder is not None
    assert public_key is not None
    public = read_public(public_key)
    reports, missing = _verify(folder, public, dsn)
    foreign = foreign_files(folder)
    bad = [report for report in reports if report.finding is not None]
    if as_json:
        facts = [{**asdict(report), "unsigned": report.unsigned} for report in reports]
        whole = bool(reports) and not (bad or missing or foreign)
        print_json({"whole": whole, "logs": facts, "missing": missing, "foreign": foreign})
    else:
        for report in reports:
            _print_report(report, asked=dsn is not None)
        for name, worker in missing:
            typer.echo(f"log {name} of worker {worker}: the database has checkpoints of it, and no file is here")
        for name in foreign:
            typer.echo(f"{name}: no worker's file has such a name, and audit search and report read it")
        if not reports:
            typer.echo(f"{folder} holds no file of the audit log")
    if bad or missing or foreign or not reports:
        raise typer.Exit(1)


@keys.command()
def show(config: Path = CONFIG, as_json: bool = JSON) -> None:
    """Prints the public key that auditors need, and its short name.

    Example: consentry audit keys show > audit.pub
    """
    from proxy.audit.chain import key_id
    from proxy.audit.keys import public_file, read_public
    from proxy.config import load_settings, read_text

    path = public_file(_key_path(load_settings(config)))
    public = read_public(path)
    if as_json:
        print_json({"key": key_id(public), "public": public, "file": str(path)})
    else:
        typer.echo(f"key {key_id(public)}, in {path}", err=True)
        typer.echo(read_text(path), nl=False)


@keys.command()
def rotate(config: Path = CONFIG, as_json: bool = JSON) -> None:
    """Makes a new key, which the old one signs; the old private key is gone then. A running gateway takes it by itself.

    Either public key verifies the whole log. Example: consentry audit keys rotate
    """
    from proxy.audit.keys import public_file
    from proxy.audit.keys import rotate as make_new
    from proxy.config import load_settings

    path = _key_path(load_settings(config))
    old, new = make_new(path)
    if as_json:
        print_json({"old": old.id, "new": new.id, "public": new.public, "file": str(public_file(path))})
    else:
        typer.echo(f"key {new.id} follows key {old.id}; its public half is in {public_file(path)}")


def _key_path(configuration: Configuration) -> Path:
    return configuration.path(configuration.settings.audit.key)


def _verify(folder: Path, public: str, dsn: str | None) -> tuple[list[Report], list[tuple[str, int]]]:
    """Reports, and the logs that the database knows of and the folder has not."""
    from proxy.audit.chain import key_id
    from proxy.audit.copies import copies_after, known_logs
    from proxy.audit.verifying import verify_folder
    from proxy.catalog.connect import connect

    if dsn is None:
        return verify_folder(folder, public), []
    with asyncio.Runner() as runner:
        connection: asyncpg.Connection = runner.run(connect(dsn))
        try:
            # What is copied while the files are read is left out: they may be read no further by then.
            known = {(name, worker): count for name, worker, count in runner.run(known_logs(connection))}

            def copies(name: str, worker: int, count: int) -> list[Checkpoint]:
                last = known.get((name, worker), 0)
                found = runner.run(copies_after(connection, name, worker, count, _PAGE))
                return [one for one in found if one.count <= last]

            reports = verify_folder(folder, public, copies)
            keys = {key_id(public), *(key for one in reports for key in (*one.keys, *one.former_keys))}
            signed = runner.run(known_logs(connection, sorted(keys)))
        finally:
            runner.run(connection.close())
    here = {(report.log, report.worker) for report in reports}
    unnamed = {report.worker for report in reports if not report.log}  # damaged before it says which log it is
    return reports, [(name, at) for name, at, _ in signed if (name, at) not in here and at not in unnamed]


def _print_report(report: Report, *, asked: bool) -> None:
    finding = report.finding
    if finding is not None:
        place = f"{finding.file}" + (f", line {finding.line}" if finding.line else "") if finding.file else "the log"
        what = f"worker {report.worker}: {finding.kind}: {place}"
        typer.echo(what + (f", record {finding.sequence}" if finding.sequence else "") + f": {finding.message}")
        return
    typer.echo(
        f"worker {report.worker}: whole: {report.records} records in {report.files} files, "
        f"from {report.first} to {report.last}"
    )
    if report.begins_at > 1:
        typer.echo(f"  it begins at record {report.begins_at}: what was before was deleted by age, as a record says")
    if report.unsigned:
        typer.echo(f"  the last {report.unsigned} records are not signed yet")
    if report.torn:
        typer.echo(f"  half lines that crashes left: {report.torn}, set aside in *.torn")
    if not asked:
        typer.echo("  that nothing was cut off at the end is proved only with the database's checkpoints")
    elif report.copied:
        typer.echo(f"  the database's last checkpoint vouches for {report.copied} records, and they are there")
    else:
        typer.echo("  the database has no checkpoint of this log: nothing proves that its end was not cut off")
