"""A database's files of rules: their texts, and whether they are others than those that were read last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxy.errors import ConsentryError

Texts = Sequence[tuple[str, str]]


class RulesFiles:
    """`texts` reads the files: [(name, text)]. It raises ConsentryError where they cannot be read.

    The files are looked at, not watched by the kernel: they may be mounted from another machine, be links that a
    deployment turns, or lie in a folder that is replaced, and to read some files takes less than a millisecond.
    """

    def __init__(self, texts: Callable[[], Texts]) -> None:
        self._texts = texts
        self._read: Texts | str | None = None  # a text: why they could not be read
        self._seen: Texts | str | None = None

    def read(self) -> Texts:
        """The texts as they are now. Raises ConsentryError."""
        try:
            self._read = found = self._texts()
        except ConsentryError as error:
            self._read = str(error)
            raise
        return found

    def forget(self) -> None:
        """What was read last was not taken, and might be at another time."""
        self._read = None

    def changed(self) -> bool:
        """Whether there is something new to read: a change that is the same at two looks, so that no file that is just
        being written is taken for a whole one.
        """
        try:
            now: Texts | str = self._texts()
        except ConsentryError as error:
            now = str(error)
        before, self._seen = self._seen, now
        return now == before and now != self._read
