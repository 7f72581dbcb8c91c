"""The error types: each carries what a PostgreSQL ErrorResponse carries.

Source: PostgreSQL documentation, "Error and Notice Message Fields" and "Error Message Style Guide".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class PgError(Exception):
    """An error as the frontend sees it.

    `position` counts characters from 1 in the text that the app sent, or is None. `policies`: the names of those that
    decided it, for the audit log; the frontend does not see them.
    """

    message: str
    sqlstate: str = "XX000"
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    severity: str = "ERROR"
    policies: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message


def insufficient_privilege(
    message: str, hint: str | None = None, position: int | None = None, policies: tuple[str, ...] = ()
) -> PgError:
    """42501: the rules do not let this app do this."""
    return PgError(message, "42501", hint=hint, position=position, policies=policies)


def feature_not_supported(message: str, hint: str | None = None, position: int | None = None) -> PgError:
    """0A000: not understood, or not built; never passed on."""
    return PgError(message, "0A000", hint=hint, position=position)


def undefined_table(name: str, position: int | None = None, hint: str | None = None) -> PgError:
    """42P01, in PostgreSQL's words."""
    return PgError(f'relation "{name}" does not exist', "42P01", hint=hint, position=position)


def protocol_violation(message: str, hint: str | None = None) -> PgError:
    """08P01: the frontend broke the protocol; the connection ends."""
    return PgError(message, "08P01", hint=hint, severity="FATAL")


class ConsentryError(Exception):
    """A fault outside of a session: settings, rules, start. `exit_code` as on the page settings.md."""

    exit_code = 1


class UnreachableError(ConsentryError):
    """A database or a file cannot be reached."""

    exit_code = 3
