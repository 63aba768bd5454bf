"""Application Insights locally: the ingestion endpoint that exporters send to, and a log to look at.

Microsoft's endpoint protocol (ApplicationInsights-Home, EndpointSpecs): a POST of telemetry items as a JSON array or
line by line, gzipped or not; the answer says which items were not taken. As deployed, local authentication is off: a
bearer token for Azure Monitor is required, and the instrumentation key says only whose the items are.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from fleetcert.local.ports import Credentials
from fleetcert.local.telemetry_items import problem_with

AUDIENCE: Final = "https://monitor.azure.com"
PATHS: Final = ("/v2.1/track", "/v2/track")
_ARRAY: Final = "application/json"
_LINES: Final = ("application/x-json-stream", "x-json-stream")
_LOG_LENGTH: Final = 50_000
_MAX_REQUEST_OCTETS: Final = 64 * 1024 * 1024  # ours; Microsoft documents a limit for an item, none for a request

type Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that was not taken: its place in the request, and why."""

    index: int
    status: HTTPStatus
    message: str


class ApplicationInsights:
    """One resource. `log`: the last 50,000 items that were taken, as they came."""

    def __init__(self, credentials: Credentials, instrumentation_key: str | None = None) -> None:
        self.instrumentation_key = instrumentation_key or str(uuid.uuid4())
        self.application_id = str(uuid.uuid4())
        self.log: deque[Item] = deque(maxlen=_LOG_LENGTH)
        self._credentials = credentials

    def application(self) -> web.Application:
        """What is served over https: azure-core sends tokens over nothing else."""
        application = web.Application(client_max_size=_MAX_REQUEST_OCTETS)
        for path in PATHS:
            application.router.add_post(path, self._track)
        return application

    def log_application(self) -> web.Application:
        """What is served over http: `/log` as a JSON array; `?type=MetricData` picks items by their `baseType`."""
        application = web.Application()
        application.router.add_get("/log", self._show_log)
        return application

    async def _track(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
        except PermissionError as problem:
            return self._answer(HTTPStatus.UNAUTHORIZED, 0, [Rejection(0, HTTPStatus.UNAUTHORIZED, str(problem))])
        try:
            items = _items(request.content_type, await request.read())
        except ValueError as problem:
            return self._answer(HTTPStatus.BAD_REQUEST, 0, [Rejection(0, HTTPStatus.BAD_REQUEST, str(problem))])
        rejected = [r for index, item in enumerate(items) if (r := self._rejection(index, item)) is not None]
        unfit = {rejection.index for rejection in rejected}
        self.log.extend(item for index, item in enumerate(items) if index not in unfit)
        return self._answer(_status(len(items), len(rejected)), len(items), rejected)

    def _authenticate(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "")
        if not token:
            raise PermissionError("Authentication is required: local authentication is disabled for this resource")
        self._credentials.check_bearer(token, AUDIENCE)

    def _rejection(self, index: int, item: Any) -> Rejection | None:
        problem = problem_with(item)
        if problem is None and item["iKey"] != self.instrumentation_key:
            problem = "Invalid instrumentation key"
        return Rejection(index, HTTPStatus.BAD_REQUEST, problem) if problem is not None else None

    def _answer(self, status: HTTPStatus, received: int, rejected: Sequence[Rejection]) -> web.Response:
        document = {
            "itemsReceived": received,
            "itemsAccepted": received - len(rejected) if received else 0,
            "appId": self.application_id,
            "errors": [{"index": r.index, "statusCode": r.status, "message": r.message} for r in rejected],
        }
        return web.json_response(document, status=status)

    async def _show_log(self, request: web.Request) -> web.Response:
        kind = request.query.get("type")
        return web.json_response([item for item in self.log if kind in (None, item["data"]["baseType"])])


def _status(received: int, rejected: int) -> HTTPStatus:
    if not rejected:
        return HTTPStatus.OK
    return HTTPStatus.PARTIAL_CONTENT if rejected < received else HTTPStatus.BAD_REQUEST


def _items(content_type: str, body: bytes) -> list[Any]:
    """The items of a request, which aiohttp has unzipped. Raises: ValueError that says what is wrong."""
    if content_type in _LINES:
        return [json.loads(line) for line in body.splitlines() if line.strip()]
    if content_type != _ARRAY:
        raise ValueError(f"the content type is {_ARRAY} or {_LINES[0]}, not {content_type}")
    document = json.loads(body)
    return document if isinstance(document, list) else [document]
