"""Logs that nobody writes any more, of workers that are gone, of commands that have ended: their end, their age."""

from __future__ import annotations

import logging

from proxy.audit.ending import own_files
from proxy.audit.log import Log, LogOptions, past, unwritable
from proxy.audit.verifying import workers_of
from proxy.errors import UnreachableError

log = logging.getLogger(__name__)


def finish_left(options: LogOptions, workers: int) -> None:
    """Brings to an end what was killed and is not started again: logs from the number `workers` on, where no other
    process has them. What was not signed is, and answers that were cut off have a record.

    Raises UnreachableError, ConsentryError.
    """
    if not options.directory.is_dir():
        return
    for number in workers_of(options.directory):
        if number >= workers and not own_files(options.directory, number)[-1].compressed:  # `_end` compresses the last
            try:
                _end(options, number)
            except OSError as error:
                raise unwritable(options, error) from error


def expire_left(options: LogOptions, own: int) -> None:
    """Takes away what is older than `keep` of all logs but that of worker `own`, where no other process has them.

    Each says so itself, in a file that is begun for it. Raises OSError, UnreachableError, ConsentryError.
    """
    for number in workers_of(options.directory):
        if number != own and next(past(options, number), None) is not None:
            _end(options, number)


def _end(options: LogOptions, number: int) -> None:
    left = Log(options, number)
    try:
        left.open()
        left.end(left=True)
    except UnreachableError as error:  # another process has it, and takes care of it
        log.debug("%s", error)
    finally:
        left.close()
