"""SET, RESET and set_config: which settings a governed app may change, and to what."""

from __future__ import annotations

import re

from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.rewrite.allowed import ENCODINGS, FIXED, SETTABLE
from proxy.rewrite.verify.tree import Node

_CUSTOM = re.compile(r"[a-z_][\w$]*(\.[a-z_][\w$]*)+\Z", re.IGNORECASE)
_NAME = re.compile(r'"((?:[^"]|"")*)"|([a-z_][\w$]*)', re.IGNORECASE | re.ASCII)
_PATH = re.compile(rf"\s*(({_NAME.pattern})\s*(,\s*({_NAME.pattern})\s*)*)?\Z", re.IGNORECASE | re.ASCII)
_MULTIPLE = {
    "TRANSACTION": frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"}),
    "SESSION CHARACTERISTICS": frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"}),
}
_NEEDS_VALUE = frozenset({"search_path", "client_encoding", *FIXED})
_OWN_SCHEMA = "consentry"
_NOT_CUSTOM = (_OWN_SCHEMA, "auto_explain.")  # the second could have plans sent as notices
_ENCODINGS = frozenset(re.sub(r"[^a-z0-9]", "", name.lower()) for name in ENCODINGS)


def check_set(body: Node) -> str | None:
    """Refuses a SET that the app may not send. The setting's name in lower case; None where it sets several."""
    kind = body["kind"]
    if kind == "VAR_RESET_ALL":
        return None
    name: str = body["name"]
    if kind == "VAR_SET_MULTI":
        settable = _MULTIPLE.get(name)
        if settable is None:
            raise refused(name)
        for option in body.get("args", ()):
            if option["DefElem"]["defname"] not in settable:
                raise refused(option["DefElem"]["defname"])
        return None
    if _takes_role_back(body):
        return name
    name = checked_name(name)
    if kind in ("VAR_SET_VALUE", "VAR_SET_CURRENT"):
        if name in _NEEDS_VALUE and kind != "VAR_SET_VALUE":
            raise refused(name)
        if kind == "VAR_SET_VALUE":
            values = [_constant(value) for value in body.get("args", ())]
            _check_value(name, values)
    elif kind not in ("VAR_SET_DEFAULT", "VAR_RESET"):
        raise refused(name)
    return name


def _takes_role_back(body: Node) -> bool:
    """SET ROLE NONE, RESET ROLE and their like: what they do, DISCARD ALL does too."""
    if body["name"] == "role" and body["kind"] == "VAR_SET_VALUE":
        return [_constant(value) for value in body.get("args", ())] == ["none"]
    return body["name"] in ("role", "session_authorization") and body["kind"] in ("VAR_RESET", "VAR_SET_DEFAULT")


def check_set_config(arguments: list[Node], *, alone: bool = False) -> str:
    """Refuses a call of set_config that is not a SET which the app may send. The setting's name in lower case.

    `alone`: the call is a statement by itself, with constants.
    """
    if len(arguments) != 3:
        raise feature_not_supported("set_config takes three arguments, without names")
    name = _string(arguments[0])
    if name is None:
        raise insufficient_privilege("the first argument of set_config must be a constant")
    name = checked_name(name, written=False)
    if name == "search_path" and alone:
        schemas = _names_in(_string(arguments[1]))
        _check_value(name, schemas)
        if "pg_temp" in schemas:
            raise refused(name)
        return name
    if name in ("search_path", "client_encoding"):  # what follows in the text would mean something else
        raise refused(name)
    if name in _NEEDS_VALUE:
        value = _string(arguments[1])
        if value is None:
            raise insufficient_privilege(f"set_config of {name} must be given a constant")
        _check_value(name, [value])
    return name


def is_call_alone(statement: Node) -> bool:
    """Whether a statement is `SELECT f(constants)`."""
    select = statement.get("SelectStmt", {})
    if select.keys() - {"targetList", "limitOption", "op"} or len(select.get("targetList", ())) != 1:
        return False
    call = select["targetList"][0]["ResTarget"].get("val", {}).get("FuncCall", {})
    plain = {"funcname", "args", "funcformat"}
    return "args" in call and not call.keys() - plain and all("A_Const" in argument for argument in call["args"])


def _names_in(path: str | None) -> list[str | None]:
    """The schemas of a search path in a text. Raises PgError for what is no list of names."""
    if path is None or not _PATH.match(path):
        raise insufficient_privilege("search_path must be given a constant list of names")
    return [quoted.replace('""', '"') if word == "" else word.lower() for quoted, word in _NAME.findall(path)]


def checked_name(name: str, *, written: bool = True) -> str:
    """The name in lower case. `written`: as a name; a constant must not be in a message, which is recorded."""
    lowered = name.lower()
    if lowered in SETTABLE or lowered in FIXED:
        return lowered
    if _CUSTOM.match(name) and not lowered.startswith(_NOT_CUSTOM):
        return lowered
    if not written:
        raise insufficient_privilege("permission denied to set this parameter")
    raise refused(name)


def refused(name: str) -> PgError:
    return insufficient_privilege(f'permission denied to set parameter "{name}"')


def _check_value(name: str, values: list[str | None]) -> None:
    if name == "search_path":
        for position, schema in enumerate(values):
            if schema is None or schema == _OWN_SCHEMA or schema.startswith(("pg_temp_", "pg_toast")):
                raise refused(name)
            if schema in ("pg_catalog", "pg_temp") and position != 0:
                # Later ones would hide behind the user's schemas, and names would mean other things than they seem to.
                raise insufficient_privilege(f"{schema} must be the first in search_path, or be left out")
    elif name in FIXED:
        if len(values) != 1 or values[0] is None or values[0].lower() not in FIXED[name]:
            raise insufficient_privilege(f"{name} stays as it is")
    elif name == "client_encoding":
        given = values[0] if len(values) == 1 else None
        if given is None or re.sub(r"[^a-z0-9]", "", given.lower()) not in _ENCODINGS:
            raise insufficient_privilege("this client_encoding is not supported")


def _constant(value: Node) -> str | None:
    """The text of a constant; None for NULL. Raises PgError for what is no constant."""
    if "TypeCast" in value:
        value = value["TypeCast"]["arg"]
    constant = value.get("A_Const")
    if constant is None:
        raise feature_not_supported("SET takes constants")
    for kind in ("sval", "fval", "bsval"):
        if kind in constant:
            text: str = constant[kind].get(kind, "")
            return text
    if "ival" in constant:
        return str(constant["ival"].get("ival", 0))
    if "boolval" in constant:
        return "true" if constant["boolval"].get("boolval") else "false"
    return None


def _string(value: Node) -> str | None:
    if "TypeCast" in value:
        names = [part["String"]["sval"] for part in value["TypeCast"]["typeName"].get("names", ())]
        if names not in (["text"], ["pg_catalog", "text"]):
            return None
        value = value["TypeCast"]["arg"]
    constant = value.get("A_Const", {})
    text: str | None = constant["sval"].get("sval", "") if "sval" in constant else None
    return text
