"""All that is held on a customer, as a file to keep."""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import Response

from proxy.consent.access import AppAccess
from proxy.profile.held import NotReadableError
from proxy.web.exports import export
from proxy.web.pages.texts import Texts
from proxy.web.pages.visit import Visit
from proxy.web.pages.why import why

log = logging.getLogger(__name__)


async def download(visit: Visit) -> Response:
    """Everything that is held on the customer, and who has access now, as one JSON document."""
    async with visit.site.connection() as connection:
        standings = await visit.standings(connection)
        restricted = await visit.site.is_restricted(connection, visit.subject)
    apps = [_told(app, visit.texts) for app in visit.apps(standings, restricted=restricted)]
    try:
        headers = {"Content-Disposition": 'attachment; filename="my-data.json"'}
        return await export(visit.site, visit.subject, apps, headers, actor="customer's page")
    except NotReadableError as error:
        log.warning("a customer's download: %s", error)
        return visit.message("unready", 503)


def _told(app: AppAccess, texts: Texts) -> dict[str, Any]:
    """An app in a customer's download: what it sees, and why, in words."""
    return {
        "app": app.app,
        "label": app.label,
        "purpose": app.purpose,
        "sees": [
            {"attribute": one.attribute, "label": one.label, "sees": one.sees, "why": why(one, texts)}
            for one in app.attributes
            if one.sees != "nothing"
        ],
    }
