"""The service REST API of IoT Hub (api-version 2021-04-12) as one web application."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from fleetcert.local.iothub import rest_devices, rest_local, rest_messages, rest_twins
from fleetcert.local.iothub.rest import SERVICES, HubServices, answer_errors, authorise

_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A hundred identities with full twins."""


def application(services: HubServices) -> web.Application:
    """The REST API over these parts of the hub."""
    app = web.Application(middlewares=[answer_errors, authorise], client_max_size=_MAX_BODY_BYTES)
    app[SERVICES] = services
    for routes in (rest_devices.ROUTES, rest_twins.ROUTES, rest_messages.ROUTES, rest_local.ROUTES):
        app.add_routes(routes)
    return app
