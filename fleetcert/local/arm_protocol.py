"""The conventions of Azure Resource Manager: scopes, versions, bearer tokens, errors and long-running operations."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from fleetcert.local.ports import Credentials
from shared.clock import Clock
from shared.contracts import format_instant

AUDIENCE: Final = "https://management.azure.com"
LOCATION: Final = "local"

_log = logging.getLogger(__name__)


class ArmError(Exception):
    """A request that ARM answers with `{"error": {"code", "message"}}`."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        """The error as an HTTP response."""
        return web.json_response({"error": {"code": self.code, "message": self.message}}, status=self.status)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the resources are."""

    subscription_id: str
    resource_group: str

    def resource_id(self, provider_path: str) -> str:
        """The id of a resource, e.g. for `Microsoft.Devices/IotHubs/h`."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}/providers/{provider_path}"

    def check(self, request: web.Request) -> None:
        """Raises: ArmError 404 where the request is for another subscription or resource group."""
        if not _same(request.match_info["subscription"], self.subscription_id):
            raise ArmError(HTTPStatus.NOT_FOUND, "SubscriptionNotFound", "The subscription could not be found.")
        if not _same(request.match_info["group"], self.resource_group):
            raise ArmError(HTTPStatus.NOT_FOUND, "ResourceGroupNotFound", "The resource group could not be found.")


@dataclass(frozen=True, slots=True)
class Provider:
    """The routes of one resource below a subscription and a resource group.

    parent: the path of the resource with the name that it has to have, e.g.
    `Microsoft.DeviceRegistry/namespaces/local-adr`. routes: method, path below it, handler.
    """

    parent: str
    api_versions: Collection[str]
    routes: Iterable[tuple[str, str, Handler]]

    def route_table(self, scope: Scope, credentials: Credentials) -> Iterable[web.RouteDef]:
        """The routes with all that ARM checks before a resource provider sees a request."""
        kind, _, name = self.parent.rpartition("/")
        prefix = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{kind}/{{parent}}"
        for method, path, handler in self.routes:
            yield web.route(method, prefix + path, self._guarded(handler, name, scope, credentials))

    def _guarded(self, handler: Handler, name: str, scope: Scope, credentials: Credentials) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            authorize(request, credentials)
            _check_version(request, self.api_versions)
            scope.check(request)
            if not _same(request.match_info["parent"], name):
                raise not_found(request.match_info["parent"])
            return await handler(request)

        return guarded


class LongRunning:
    """Operations that ARM calls long-running: here they are done when they are started, and still have to be polled."""

    def __init__(self, scope: Scope, clock: Clock) -> None:
        self._path = f"/subscriptions/{scope.subscription_id}/providers/Microsoft.DeviceRegistry/locations/{LOCATION}"
        self._clock = clock
        self._started: dict[str, datetime] = {}

    def accepted(self, request: web.Request) -> web.Response:
        """202 with the addresses to poll."""
        operation = str(uuid4())
        self._started[operation] = self._clock.now()
        query = {"api-version": request.query["api-version"]}
        headers = {
            "Azure-AsyncOperation": self._url(request, f"operationStatuses/{operation}", query),
            "Location": self._url(request, f"operationResults/{operation}", query),
            "Retry-After": "1",
        }
        return web.Response(status=HTTPStatus.ACCEPTED, headers=headers)

    def route_table(self, credentials: Credentials) -> Iterable[web.RouteDef]:
        """Where operations are polled."""

        async def status(request: web.Request) -> web.Response:
            return web.json_response(self._status(self._known(request, credentials), request.path))

        async def result(request: web.Request) -> web.Response:
            self._known(request, credentials)
            return web.json_response({"result": "Succeeded"})

        return (
            web.get(f"{self._path}/operationStatuses/{{operation}}", status),
            web.get(f"{self._path}/operationResults/{{operation}}", result),
        )

    def _known(self, request: web.Request, credentials: Credentials) -> str:
        authorize(request, credentials)
        operation = request.match_info["operation"]
        if operation not in self._started:
            raise not_found(operation)
        return operation

    def _status(self, operation: str, path: str) -> dict[str, Any]:
        started = format_instant(self._started[operation])
        return {"id": path, "name": operation, "status": "Succeeded", "startTime": started, "endTime": started}

    def _url(self, request: web.Request, path: str, query: dict[str, str]) -> str:
        return str(request.url.with_path(f"{self._path}/{path}").with_query(query))


def not_found(name: str) -> ArmError:
    """404: there is no such resource."""
    return ArmError(HTTPStatus.NOT_FOUND, "ResourceNotFound", f"The resource {name!r} was not found.")


def bad_request(message: str) -> ArmError:
    """400: the resource provider cannot take this."""
    return ArmError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


async def read_document[T](request: web.Request, kind: type[T]) -> T:
    """The body as a document of this kind. Raises: ArmError 400 that names what is wrong."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise ArmError(HTTPStatus.BAD_REQUEST, "InvalidRequestContent", str(problem)) from problem


def authorize(request: web.Request, credentials: Credentials) -> None:
    """Raises: ArmError 401 without a bearer token for ARM."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() != "bearer":
        raise ArmError(HTTPStatus.UNAUTHORIZED, "AuthenticationFailed", "The bearer token is missing.")
    try:
        credentials.check_bearer(token, AUDIENCE)
    except PermissionError as problem:
        raise ArmError(HTTPStatus.UNAUTHORIZED, "InvalidAuthenticationToken", str(problem)) from problem


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every failure in ARM's form."""
    try:
        return await handler(request)
    except ArmError as problem:
        return problem.response()
    except web.HTTPException as problem:
        return ArmError(HTTPStatus(problem.status), "InvalidResourceType", problem.reason).response()
    except Exception:  # the last resort: the caller gets a 500 in ARM's form, the log the reason
        _log.exception("%s %s failed", request.method, request.path)
        return ArmError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServerError", "Internal server error").response()


def _check_version(request: web.Request, supported: Collection[str]) -> None:
    version = request.query.get("api-version")
    if not version:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(HTTPStatus.BAD_REQUEST, "MissingApiVersionParameter", message)
    if version not in supported:
        message = f"The api-version {version!r} is not supported, use one of {', '.join(sorted(supported))}."
        raise ArmError(HTTPStatus.BAD_REQUEST, "NoRegisteredProviderFound", message)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()  # ARM compares names without case
