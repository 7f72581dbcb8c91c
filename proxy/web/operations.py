"""One operation of the API: from a row of `api.OPERATIONS` come its route, its checks and its description."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.consent.mapped import ReadOnlyError
from proxy.consent.records import Format
from proxy.errors import ConsentryError, UnreachableError
from proxy.profile.held import NotReadableError
from proxy.web.callers import Caller, address_of, caller_of
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site, TooSlowError
from proxy.web.tokens import Scope

BODY_BYTES: Final = 64 * 1024
_IN_MEMORY: Final = 1024**2
_DEEP: Final = re.compile(r"(\w+)\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in: who asks, and what for, checked against the operation's shapes."""

    site: Site
    caller: Caller
    request: Request
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def subject(self) -> str:
        return self.path["subject"]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came as a body, from its begin."""

    file: IO[bytes]
    kind: Format


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` as starlette writes it. `answers`: the shape of what status 200 gives.

    `files`: it takes a file of one of these media types, as `Upload`, and heeds Idempotency-Key.
    `conditional`: it heeds If-Match and Idempotency-Key; `tagged`: it gives an ETag. `repeated`: parameters of the
    query that may come several times, and are lists therefore. `contested`: what it is about may be decided by somebody
    else meanwhile, which is 409.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: Scope
    handle: Callable[[Call], Awaitable[Response]]
    answers: type[BaseModel]
    query: type[BaseModel] | None = None
    takes: type[BaseModel] | None = None
    files: Mapping[str, Format] = field(default_factory=dict)
    conditional: bool = False
    contested: bool = False
    tagged: bool = False
    repeated: frozenset[str] = frozenset()

    @property
    def problems(self) -> tuple[int, ...]:
        """The statuses with a problem document that callers must expect."""
        found = {400, 401, 403, 404, 422, 429, 503, 504} | ({409} if self.scope == "profile" else set())
        if self.takes is not None or self.files:
            found |= {413, 415}
        if self.conditional or self.files or self.contested:
            found |= {409}
        if self.conditional:
            found |= {412}
        return tuple(sorted(found))


def route(operation: Operation, site: Site, rates: Rates) -> Route:
    """The operation as a route, all checks before its handler."""

    async def endpoint(request: Request) -> Response:
        address = address_of(request)
        rates.refuse_guesser(address)
        try:
            caller = await caller_of(request, site)
        except Problem as problem:
            if problem.status == 401:
                rates.note_guess(address)
            raise
        except ConsentryError as error:
            raise of_error(error) from error
        path = {name: _unquoted(value) for name, value in request.path_params.items()}
        caller.may(operation.scope, path.get("subject"))
        rates.take(caller)
        query = None if operation.query is None else _shaped(operation.query, _query(request, operation.repeated))
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            body: Any = None
            if operation.takes is not None:
                body = await _body(request, operation.takes)
            elif operation.files:
                body = await _upload(request, operation.files, file, site.settings.import_bytes)
            try:
                return await operation.handle(Call(site, caller, request, path, query, body))
            except ConsentryError as error:
                raise of_error(error) from error

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.name)


def of_error(error: ConsentryError) -> Problem:
    """What a caller is told of an error of ours."""
    if isinstance(error, TooSlowError):
        return Problem(504, f"{error}; try again, or ask for less at a time", headers={"Retry-After": "5"})
    if isinstance(error, UnreachableError):
        return Problem(503, "the database cannot be reached now; try again", headers={"Retry-After": "5"})
    return Problem(409 if isinstance(error, ReadOnlyError | NotReadableError) else 422, str(error))


def _query(request: Request, repeated: frozenset[str]) -> dict[str, Any]:
    """The query's parameters; those of the form `name[key]` as a mapping (OpenAPI's style deepObject).

    Raises Problem where one that is not of `repeated` comes again: none of the two would be the right one.
    """
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        inside = _DEEP.fullmatch(name)
        of, key = (name, name) if inside is None else (inside[1], inside[2])
        into = found if inside is None else found.setdefault(of, {})
        if not isinstance(into, dict) or (key in into and not (of in repeated and isinstance(into[key], list))):
            said = [{"at": name, "message": "it is given more than once"}]
            raise Problem(422, "the request is not of the right shape", more={"errors": said})
        into[key] = [*into.get(key, ()), value] if of in repeated else value
    return found


def _unquoted(value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise Problem(400, "the path is not UTF-8") from error


async def _upload(request: Request, kinds: Mapping[str, Format], file: IO[bytes], limit: int) -> Upload:
    kind = kinds.get(_media_type(request))
    if kind is None:
        raise Problem(415, f"send one of: {', '.join(f'Content-Type: {name}' for name in kinds)}")
    async for chunk in _chunks(request, limit):
        await asyncio.to_thread(file.write, chunk)
    file.seek(0)
    return Upload(file, kind)


async def _body(request: Request, shape: type[BaseModel]) -> BaseModel:
    if _media_type(request) != "application/json":
        raise Problem(415, "send JSON: Content-Type: application/json")
    text = b"".join([chunk async for chunk in _chunks(request, BODY_BYTES)])
    try:
        given = json.loads(text.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    return _shaped(shape, given)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, no more than `limit` bytes of it. Raises Problem."""
    count = 0
    try:
        async for chunk in request.stream():
            count += len(chunk)
            if count > limit:
                raise Problem(413, f"the body is larger than {limit} bytes")
            yield chunk
    except ClientDisconnect as error:
        raise Problem(400, "the body was cut off") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _shaped(shape: type[BaseModel], given: Any) -> BaseModel:
    try:
        return shape.model_validate_json(json.dumps(given)) if isinstance(given, dict) else shape.model_validate(given)
    except (ValidationError, UnicodeEncodeError) as error:
        raise Problem(422, "the request is not of the right shape", more={"errors": _errors(error)}) from error


def _errors(error: Exception) -> list[dict[str, str]]:
    if not isinstance(error, ValidationError):
        return [{"at": "", "message": "a text is not Unicode"}]
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return [{"at": ".".join(map(str, detail["loc"])), "message": detail["msg"]} for detail in details]
