"""Two databases for each app: one behind the gateway, and its twin, in which what the app may not see is not there.

A session of a driver through the gateway must be the same as with the twin directly. The twins are copies with all
OIDs; the one of app `full` is a plain copy, that of `sales` is changed by masked.sql.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gateways import GatewayProcess
from tests.servers import PgServer

FOLDER = Path(__file__).parent
RULES = (FOLDER / "rules.yaml").read_text()


@dataclass(frozen=True)
class Pair:
    """What one app is compared by."""

    app: str
    direct: str  # a URI of the twin
    through: str  # a URI of the gateway
    server: PgServer
    gateway: GatewayProcess
    databases: tuple[str, str]  # their names on the server: the twin's, the one behind the gateway

    @property
    def user(self) -> str:
        return f"drv_{self.app}"

    def admin(self, script: str) -> None:
        """Runs SQL as the superuser in both databases."""
        for name in self.databases:
            self.server.run(name, script)

    def same(self, session: Callable[[str], Any]) -> Any:
        """Runs `session` with the twin and through the gateway; fails where what they give differs."""
        return self._checked(session(self.direct), session(self.through))

    async def same_async(self, session: Callable[[str], Any]) -> Any:
        return self._checked(await session(self.direct), await session(self.through))

    def _checked(self, direct: Any, through: Any) -> Any:
        found = difference(self.comparable(direct), self.comparable(through))
        assert found is None, found
        return through

    def comparable(self, seen: Any) -> Any:
        """Values with their types, as `repr` shows them.

        To an app that something is hidden from, errors have no DETAIL and no CONTEXT, and what is quoted in messages of
        class 22 is "?" (rewriting.md).
        """
        if isinstance(seen, list):
            return [self.comparable(item) for item in seen]
        if not isinstance(seen, dict):
            return repr(seen)
        if self.app == "sales" and "sqlstate" in seen:
            seen = {**seen, "detail": None, "context": None}
            if seen["sqlstate"].startswith("22"):
                seen["message"] = re.sub('".*"', '"?"', seen["message"])
        return {key: self.comparable(value) for key, value in seen.items()}


def difference(direct: Any, through: Any, place: str = "") -> str | None:
    """Where two answers first differ, to be read by people; None where they are equal."""
    keys: Any = ()
    if isinstance(direct, dict) and isinstance(through, dict) and direct.keys() == through.keys():
        keys = direct.keys()
    elif isinstance(direct, list) and isinstance(through, list):
        keys = range(min(len(direct), len(through)))
    for key in keys:
        if found := difference(direct[key], through[key], f"{place}[{key!r}]"):
            return found
    return None if direct == through else f"at {place}:\ndirect:  {direct}\nthrough: {through}"


def copy_database(server: PgServer, name: str, template: str) -> None:
    """A database like `template`, dropped at the end of the tests."""
    with server.connect() as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    server._databases.append(name)
