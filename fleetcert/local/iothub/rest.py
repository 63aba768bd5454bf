"""What every route of the service REST API needs: the hub's parts, JSON in and out, authorisation and errors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from fleetcert.local.iothub.cloud_to_device import CloudToDevice
from fleetcert.local.iothub.errors import HubError, ThrottledRequest, invalid_argument, unauthorized
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.observations import Observations
from fleetcert.local.iothub.throttles import Throttles
from fleetcert.local.iothub.twins import Twins
from fleetcert.local.ports import Credentials
from shared.clock import Clock

AUDIENCE: Final = "https://iothubs.azure.net"
LOCAL_PREFIX: Final = "/_local/"
"""Where the routes are that real hubs do not have."""

_SAS: Final = "SharedAccessSignature "
_BEARER: Final = "Bearer "

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class HubServices:
    """The parts of the hub that the REST API uses."""

    devices: IdentityRegistry
    twins: Twins
    messages: CloudToDevice
    observations: Observations
    throttles: Throttles
    credentials: Credentials
    clock: Clock


SERVICES: Final = web.AppKey("services", HubServices)


async def json_body(request: web.Request) -> Any:
    """The request's JSON. Raises: HubError 400004."""
    try:
        return json.loads(await request.read())
    except ValueError as problem:
        raise invalid_argument("The body is not JSON.") from problem


async def json_object(request: web.Request) -> dict[str, Any]:
    """The request's JSON object. Raises: HubError 400004."""
    document = await json_body(request)
    if not isinstance(document, dict):
        raise invalid_argument("The body must be a JSON object.")
    return document


def answer(document: Any, *, etag: str | None = None, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer, with the ETag of the resource in quotes where it has one."""
    tag = {} if etag is None else {"ETag": f'"{etag}"'}
    return web.json_response(document, headers={**tag, **(headers or {})})


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what the hub refuses into its documented answer."""
    try:
        response = await handler(request)
    except HubError as error:
        document = error.service_document(request.app[SERVICES].clock.now())
        response = web.json_response(document, status=error.status, headers={"iothub-errorcode": error.name})
        if isinstance(error, ThrottledRequest):
            response.headers["Retry-After"] = str(error.retry_after_seconds)
    response.headers["x-ms-request-id"] = str(uuid.uuid4())
    return response


@web.middleware
async def authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets SAS tokens for this host and bearer tokens for IoT Hub through. Raises: HubError 401003, 400004."""
    try:
        _check_caller(request)
    except PermissionError as problem:
        raise unauthorized() from problem
    if "api-version" not in request.query and not request.path.startswith(LOCAL_PREFIX):
        raise invalid_argument("The api-version is missing.")
    return await handler(request)


def _check_caller(request: web.Request) -> None:
    """Raises: PermissionError that says why."""
    authorization, credentials = request.headers.get("Authorization", ""), request.app[SERVICES].credentials
    if authorization.startswith(_SAS):
        _check_resource(authorization, request.host)
        credentials.check_sas(authorization, key_is_base64=True)
    elif authorization.startswith(_BEARER):
        credentials.check_bearer(authorization.removeprefix(_BEARER), AUDIENCE)
    else:
        raise PermissionError("neither a shared access signature nor a bearer token")


def _check_resource(token: str, host: str) -> None:
    """A token's resource is the hub, or a path of it, as the client addresses it."""
    resource = parse_qs(token.removeprefix(_SAS)).get("sr", [""])[0].lower()
    if resource != host.lower() and not resource.startswith(f"{host.lower()}/"):
        raise PermissionError(f"the token is for {resource!r}")
