"""When each app last read each attribute, by the index of the log, which takes in what is new at each refresh."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from proxy.audit.index import Index, open_index
from proxy.audit.question import moment
from proxy.audit.reader import NOTHING


def last_reads(index: Index) -> Mapping[tuple[str, str], datetime]:
    """(app, attribute) -> the time of the newest statement that read it, of whichever customers; by all that the log
    has by now. Raises UnreachableError, ConsentryError.
    """
    index.refresh()
    found: dict[tuple[str, str], int] = {}
    for traits, last in index.last_reads():
        for one in traits.disclosed:
            if one.attribute is not None and one.treatment not in NOTHING:
                key = (traits.app or "", one.attribute)
                found[key] = max(found.get(key, 0), last)
    return MappingProxyType({key: moment(at) for key, at in found.items()})


def last_reads_of(directory: Path) -> Mapping[tuple[str, str], datetime]:
    """The same of the log in a folder. Raises UnreachableError, ConsentryError."""
    index = open_index(directory)
    try:
        return last_reads(index)
    finally:
        index.close()
