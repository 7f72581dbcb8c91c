"""Which settings a governed app may change: by SET, set_config(), and in the start-up packet, by one check."""

from __future__ import annotations

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.policy.table import AppPolicy
from proxy.rewrite.allowed import ENCODINGS, FIXED, SETTABLE
from proxy.rewrite.lex import Node

CHANGE_NAMES = ("search_path", "role", "session_authorization")  # settings on which it depends what a name means
CHECKED = frozenset(FIXED) | {"search_path", "client_encoding"}  # settings that may not have any value


def check_setting(name: str, value: str | None, *, written: bool = True) -> PgError | None:
    """Why setting `name` to `value` (None: to its default) is refused, or None where it may be set.

    `written`: the name stands in the statement as a name. Messages are recorded, and must have no constant.
    """
    key = name.lower()
    refused = insufficient_privilege(
        f'permission denied to set parameter "{name}"' if written else "permission denied to set this parameter",
        "The gateway lets apps set only parameters that cannot change what they may see.",
    )
    if "." in key:  # an extension's or the app's own
        own = ("auto_explain", "consentry", "plpgsql", "session_preload_libraries")
        return refused if key.split(".")[0] in own else None
    if key in FIXED:
        if value is None or value.lower() in FIXED[key]:
            return None
        if key != "standard_conforming_strings":
            return refused
        return feature_not_supported(
            f'parameter "{key}" cannot be changed to this value',
            "It decides how the gateway must read later statements.",
        )
    if key not in SETTABLE:
        return refused
    if key == "client_encoding" and value is not None and _encoding(value) not in ENCODINGS:
        return feature_not_supported(
            "this client encoding is not supported",
            f"Use UTF8, or one of {', '.join(sorted(set(ENCODINGS) - {'UTF8', 'UNICODE'}))}.",
        )
    if key == "search_path" and value is not None:
        return check_search_path(split_identifiers(value))
    return None


def check_search_path(schemas: list[str]) -> PgError | None:
    """A path on which built-in names could mean something else is refused."""
    if "pg_catalog" in schemas[1:]:
        return feature_not_supported(
            "search_path cannot have pg_catalog behind another schema",
            "Leave pg_catalog out: it is searched first then.",
        )
    for schema in schemas:
        if schema.startswith(("pg_temp", "pg_toast")) or schema in ("information_schema", "consentry"):
            return feature_not_supported(
                "search_path cannot name this schema",
                "Leave out schemas of temporary tables and of TOAST, information_schema and consentry.",
            )
    return None


def path_after_set(fields: Node, path: SearchPath, app: AppPolicy, snapshot: Snapshot) -> SearchPath | None:
    """The search path behind a SET: every schema that may count. None where what was set is not in the text."""
    if fields.get("kind") != "VAR_SET_VALUE":
        return None
    named: list[str] = []
    for argument in fields["args"]:
        name = argument.get("A_Const", {}).get("sval", {}).get("sval", "")
        named += app.logins if name == "$user" else [name]
    schemas = ["pg_catalog", *(name for name in named if name in snapshot.schemas)]
    return SearchPath(tuple(dict.fromkeys(schemas)), path.temporary, path.foreign)


_SPACE = " \t\n\r\f"


def split_identifiers(value: str, separator: str = ",") -> list[str]:
    """The names of a list in a text (a search_path; with "." a qualified name), folded unless quoted."""
    out: list[str] = []
    at = 0
    while at < len(value):
        if value[at] in separator + _SPACE:
            at += 1
        elif value[at] == '"':
            end = at + 1
            name = ""
            while end < len(value):
                if value[end] == '"':
                    if value[end + 1 : end + 2] != '"':
                        break
                    end += 1
                name += value[end]
                end += 1
            out.append(name)
            at = end + 1
        else:
            end = at
            while end < len(value) and value[end] not in separator + _SPACE:
                end += 1
            out.append(value[at:end].lower())
            at = end
    return out


def encoding_of(value: str) -> str | None:
    """Python's codec for a client_encoding, or None where it is not supported."""
    return ENCODINGS.get(_encoding(value))


def _encoding(value: str) -> str:
    return (
        "".join(c for c in value.upper() if c.isalnum() or c == "_").replace("UTF_8", "UTF8").replace("LATIN_", "LATIN")
    )
