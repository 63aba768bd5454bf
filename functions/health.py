"""`GET /api/health`: whether the app could do its work; open to everybody, and up whatever the settings are."""

from __future__ import annotations

import azure.functions as func
from msgspec import Struct

from functions.edge import Reply, problem_response, response
from shared.composition import app

blueprint = func.Blueprint()


class Health(Struct, frozen=True):
    """All is well."""

    status: str = "ok"


@blueprint.function_name("health")
@blueprint.route(route="health", trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
async def health(request: func.HttpRequest) -> func.HttpResponse:
    """200, or 503 with the name of the setting that is missing or wrong."""
    try:
        await app.services()
    except Exception as error:  # health answers, whatever is wrong
        return problem_response(error)
    return response(Reply(Health()))
