"""When files of rules are read again."""

from __future__ import annotations

import pytest

from proxy.errors import UnreachableError
from proxy.rules_files import RulesFiles, Texts


class Files:
    def __init__(self, texts: Texts) -> None:
        self.texts: Texts | UnreachableError = texts
        self.rules = RulesFiles(self._read)

    def _read(self) -> Texts:
        if isinstance(self.texts, UnreachableError):
            raise self.texts
        return self.texts


@pytest.fixture
def files() -> Files:
    found = Files([("a.yaml", "one")])
    found.rules.read()
    assert not any(found.rules.changed() for _ in range(3))
    return found


def test_a_change_is_one_that_two_looks_see(files: Files) -> None:
    for half in ("t", "tw"):
        files.texts = [("a.yaml", half)]
        assert not files.rules.changed(), "it is being written"
    files.texts = [("a.yaml", "two")]
    assert not files.rules.changed()
    assert files.rules.changed()
    assert files.rules.changed(), "until it is read"
    assert files.rules.read() == files.texts
    assert not files.rules.changed()


def test_what_was_read_otherwise_is_no_change(files: Files) -> None:
    files.texts = [("a.yaml", "two")]
    files.rules.read()
    assert not any(files.rules.changed() for _ in range(3))


def test_files_that_are_gone_are_a_change_once(files: Files) -> None:
    files.texts = UnreachableError("gone")
    assert [files.rules.changed() for _ in range(2)] == [False, True]
    with pytest.raises(UnreachableError):
        files.rules.read()
    assert not files.rules.changed()
    files.rules.forget()
    assert files.rules.changed()
