"""Every path below `/api` that is no route: a problem document, where the host would answer an empty 404."""

from __future__ import annotations

import azure.functions as func

from functions.edge import refused
from shared.errors import NotFound

blueprint = func.Blueprint()


@blueprint.function_name("nothing_here")
@blueprint.route(route="{*path}", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def nothing_here(request: func.HttpRequest) -> func.HttpResponse:
    """404."""
    return refused(NotFound("path", request.route_params.get("path") or ""))
