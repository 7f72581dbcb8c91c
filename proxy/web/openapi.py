"""The API's description (OpenAPI 3.1), made from the table that also makes the routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from pydantic.json_schema import models_json_schema

from proxy.web.operations import Operation
from proxy.web.problems import MEDIA_TYPE
from proxy.web.shapes import ProblemDocument

_REF = "#/components/schemas/{model}"
_WHAT = {
    400: "The request cannot be read.",
    401: "No token, or one that is not in force.",
    403: "The caller may not do this.",
    404: "There is no such app, attribute or record.",
    409: "The idempotency key was used for another request, somebody decided already (`request` says what), or the "
    "database does not let Consentry read or write it.",
    412: "The consent was changed meanwhile: look at it again.",
    413: "The body is too large.",
    415: "The body is not of a type that is taken.",
    422: "The request is not of the right shape, or what it asks is impossible.",
    429: "Too many requests.",
    503: "The database cannot be reached now.",
    504: "It took the database longer than 10 seconds.",
}


def describe(operations: Sequence[Operation], prefix: str) -> dict[str, Any]:
    """The document for `operations`, whose paths begin with `prefix`."""
    taken = {(o.takes, "validation") for o in operations if o.takes}
    given = {(o.answers, "serialization") for o in operations}
    models = sorted(taken | given | {(ProblemDocument, "serialization")}, key=lambda one: one[0].__name__)
    names, schemas = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(prefix + operation.path, {})[operation.method.lower()] = _operation(operation, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Consentry", "version": metadata.version("consentry"), "summary": "Consent of customers"},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(operation: Operation, names: dict[Any, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": field.pop("description", ""),
                "schema": field,
                **({"style": "deepObject", "explode": True} if field.get("type") == "object" else {}),
            }
            for name, field in schema["properties"].items()
        ]
    if operation.conditional:
        parameters.append(_header("If-Match", '^("[0-9]{1,19}"|\\*)$'))
    if operation.conditional or operation.files:
        parameters.append(_header("Idempotency-Key", "^[ -~]{1,100}$"))
    done: dict[str, Any] = {
        "description": "Done.",
        "content": {"application/json": {"schema": names[operation.answers, "serialization"]}},
    }
    if operation.tagged:
        done["headers"] = {"ETag": {"schema": {"type": "string"}}}
    problem = {"content": {MEDIA_TYPE: {"schema": names[ProblemDocument, "serialization"]}}}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {"200": done} | {str(s): {"description": _WHAT[s], **problem} for s in operation.problems},
    }
    if operation.takes is not None:
        schema = names[operation.takes, "validation"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if operation.files:
        content = {media_type: {"schema": {"type": "string"}} for media_type in operation.files}
        described["requestBody"] = {"required": True, "content": content}
        described["responses"]["422"]["description"] += " `lines` names each wrong line (the first 100), and why."
    return described


def _header(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string", "pattern": pattern}}
