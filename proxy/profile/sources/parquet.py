"""A Parquet file, read by pyarrow (the extra `parquet`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from proxy.errors import ConsentryError
from proxy.profile.sources.reading import Record, SourceError, Wanted, check_fields, digest_of, unchanged

_AT_A_TIME: Final = 5000


@dataclass(frozen=True, slots=True)
class ParquetReader:
    source: str
    path: Path

    unit: ClassVar[str] = "record"
    follows_cursor: ClassVar[bool] = False
    in_order: ClassVar[bool] = False
    complete_fields: ClassVar[bool] = True
    may_be_cut: ClassVar[bool] = False

    def content(self) -> str | None:
        return digest_of(self.source, self.path)

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise ConsentryError('Parquet needs a package more: pip install "consentry[parquet]"') from error
        with unchanged(self.source, self.path):
            number = 0
            try:
                with parquet.ParquetFile(self.path) as file:
                    check_fields(wanted, file.schema_arrow.names)
                    for batch in file.iter_batches(_AT_A_TIME, columns=list(wanted.fields)):
                        for values in batch.to_pylist():
                            number += 1
                            yield Record(number, values)
            except pyarrow.ArrowException as error:
                raise SourceError(self.source, f"{self.path}: {error}") from error
            except (OverflowError, ValueError) as error:
                what = f"a value after record {number} cannot be read ({type(error).__name__})"
                hint = "Python has dates and times of the years 1 to 9999, to the microsecond"
                raise SourceError(self.source, f"{self.path}: {what}: {hint}") from error

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        async for record in self.records(wanted):
            yield record.values[wanted.key]
