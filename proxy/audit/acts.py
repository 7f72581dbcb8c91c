"""Records of what commands and the web side do for customers' rights, in files of the log that are their own.

A gateway's worker holds its own files; who acts beside it takes the first number from `FIRST` on that is free.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from proxy.audit.chain import Checkpoint
from proxy.audit.log import Log, LogOptions, unwritable
from proxy.config import Configuration
from proxy.errors import UnreachableError

log = logging.getLogger(__name__)

EVENT: Final = "subject"
FIRST: Final = 1000  # numbers of workers below are the gateway's
MOST: Final = 16


class Acts:
    """The log while somebody acts. `checkpoints`: those that were signed, for the database."""

    def __init__(self, options: LogOptions, number: int) -> None:
        self.checkpoints: list[Checkpoint] = []
        self._log = Log(options, number, self.checkpoints.append)
        self._options = options

    def open(self) -> None:
        """Raises OSError; UnreachableError where another one writes by this number."""
        try:
            self._log.open()
        except BaseException:
            self._log.close()
            raise

    def record(self, act: str, **fields: object) -> None:
        """One record, signed. Raises UnreachableError: then what it tells of must not be done."""
        try:
            self._log.record(EVENT, act=act, **fields)
            self._log.checkpoint()
        except OSError as error:
            raise unwritable(self._options, error) from error

    def close(self) -> None:
        """Ends the file; those before it are compressed."""
        try:
            self._log.end()
        except OSError as error:
            log.warning("audit: %s cannot be written: %s", self._options.directory, error.strerror)
        finally:
            self._log.close()


@contextmanager
def acting(options: LogOptions) -> Iterator[Acts]:
    """The log, ready to be written. Raises UnreachableError, ConsentryError."""
    acts = _opened(options)
    try:
        yield acts
    finally:
        acts.close()


def options_of(configuration: Configuration) -> LogOptions:
    """Where the log of these settings is."""
    audit = configuration.settings.audit
    return LogOptions(
        directory=configuration.path(audit.directory),
        key=configuration.path(audit.key),
        full_text=audit.text == "full",
        rotate_size=audit.rotate.size,
        rotate_every=audit.rotate.every,
        keep=audit.keep,
        fsync=audit.fsync,
    )


def _opened(options: LogOptions) -> Acts:
    for number in range(FIRST, FIRST + MOST):
        acts = Acts(options, number)
        try:
            acts.open()
        except OSError as error:
            raise unwritable(options, error) from error
        except UnreachableError:
            if number == FIRST + MOST - 1:
                raise
        else:
            return acts
    raise AssertionError
