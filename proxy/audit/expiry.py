"""The age of logs that nobody writes any more: of workers that there are no more, of commands that have ended."""

from __future__ import annotations

import logging

from proxy.audit.log import Log, LogOptions, past
from proxy.audit.verifying import workers_of
from proxy.errors import UnreachableError

log = logging.getLogger(__name__)


def expire_left(options: LogOptions, own: int) -> None:
    """Takes away what is older than `keep` of all logs but that of worker `own`, where no other process has them.

    Each says so itself, in a file that is begun for it. Raises OSError, UnreachableError, ConsentryError.
    """
    for number in workers_of(options.directory):
        if number == own or next(past(options, number), None) is None:
            continue
        left = Log(options, number)
        try:
            left.open()
            left.end()
        except UnreachableError as error:  # another process has it, and takes care of it
            log.debug("%s", error)
        finally:
            left.close()
