"""A customer's export as an answer: put together first, then sent.

What goes wrong is said before the first byte, the database's transaction is as short as the database is fast, and no
slow reader holds it open. A large one waits in a file without a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from proxy.profile.disclosed import disclosures
from proxy.profile.export import document
from proxy.rights.desk import note
from proxy.web.site import Site

_IN_MEMORY: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024


async def export(
    site: Site,
    subject: str,
    access: Sequence[Mapping[str, Any]],
    headers: Mapping[str, str],
    *,
    actor: str,
    disclosed: bool = False,
) -> Response:
    """All that is held on the subject, for who asks; with `disclosed` also who read what. It is recorded before
    anything of it is sent. Raises ConsentryError.
    """
    current = site.in_force
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed when it was sent
    try:
        async with site.patient_connection() as connection:
            read = None
            if disclosed and site.audit.directory.is_dir():
                read = [asdict(one) for one in await disclosures(connection, site.audit.directory, subject)]
            parts = document(
                connection, current.compiled, current.rules.attributes, subject, site.organisation, access, read
            )
            waiting = bytearray()
            async for part in parts:
                waiting += part.encode()
                if len(waiting) > _CHUNK:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
            file.write(waiting)
            await note(site.desk(connection, actor), "export")
        length = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    given = {"Content-Length": str(length), "Cache-Control": "no-store", **headers}
    return StreamingResponse(_sent(file), headers=given, media_type="application/json")


async def _sent(file: SpooledTemporaryFile[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
