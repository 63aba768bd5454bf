"""Event Grid locally: a custom topic with the CloudEvents schema, its webhook subscriptions, and a log to look at.

Azure docs: "Publish events to custom topics", "CloudEvents schema". As with the real one, tokens are taken over https
only, because azure-core refuses to send them over http.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import aiohttp
from aiohttp import web

from fleetcert.local.cloudevents import problem_with
from fleetcert.local.credentials import random_key
from fleetcert.local.ports import Credentials
from fleetcert.local.webhooks import MAX_ATTEMPTS, RETRY_SECONDS, CloudEvent, DeadEvent, SubscriptionRefused, Webhook

_log = logging.getLogger(__name__)

TOPIC_PATH: Final = "/topics/fleetcert/api/events"
AUDIENCE: Final = "https://eventgrid.azure.net"
MANAGEMENT_AUDIENCE: Final = "https://management.azure.com"

_API_VERSION: Final = "2018-01-01"
_MAX_REQUEST_OCTETS: Final = 1024 * 1024  # Azure docs: Event Grid quotas, "maximum event size 1 MB" (also per batch)
_LOG_LENGTH: Final = 10_000
_BATCH: Final = "application/cloudevents-batch+json"
_SINGLE: Final = "application/cloudevents+json"


class EventGridTopic:
    """One custom topic. `log`: the last 10,000 events received; `dead`: those that no webhook would take."""

    def __init__(
        self, credentials: Credentials, key: str | None = None, retry_seconds: Sequence[float] = RETRY_SECONDS
    ) -> None:
        self.key = key or random_key()
        self.log: deque[CloudEvent] = deque(maxlen=_LOG_LENGTH)
        self.dead: deque[DeadEvent] = deque(maxlen=_LOG_LENGTH)
        self._credentials = credentials
        self._retry_seconds = retry_seconds
        self._webhooks: dict[str, Webhook] = {}
        self._http: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """What is served over https: publishing, and ARM's way to make and drop event subscriptions."""
        application = web.Application(client_max_size=_MAX_REQUEST_OCTETS)
        application.router.add_post(TOPIC_PATH, self._publish)
        application.router.add_put("/topics/fleetcert/eventSubscriptions/{name}", self._subscribe)
        application.router.add_delete("/topics/fleetcert/eventSubscriptions/{name}", self._unsubscribe)
        application.on_cleanup.append(self._close)
        return application

    def log_application(self) -> web.Application:
        """What is served over http: `/log` and `/dead-letters`, as JSON arrays."""
        application = web.Application()
        application.router.add_get("/log", self._show_log)
        application.router.add_get("/dead-letters", self._show_dead)
        return application

    async def subscribe(self, name: str, url: str, max_attempts: int = MAX_ATTEMPTS) -> None:
        """Sends later events to a webhook, once that has agreed; replaces a subscription of that name.

        Raises: SubscriptionRefused.
        """
        self._http = self._http or aiohttp.ClientSession()
        webhook = Webhook(
            name, url, self._http, self.dead, max_attempts=max_attempts, retry_seconds=self._retry_seconds
        )
        await webhook.validate()
        await self.unsubscribe(name)
        self._webhooks[name] = webhook

    async def unsubscribe(self, name: str) -> None:
        """Ends a subscription; what it has not delivered is dropped."""
        webhook = self._webhooks.pop(name, None)
        if webhook is not None:
            await webhook.close()

    def accept(self, events: Sequence[CloudEvent]) -> None:
        """Takes valid events: they are logged and on their way to every webhook."""
        self.log.extend(events)
        for webhook in self._webhooks.values():
            for event in events:
                webhook.deliver(event)

    async def _publish(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            self.accept(_cloud_events(request.content_type, await request.read()))
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "RequestEntityTooLarge", "the events are larger than 1 MB together")
        except ValueError as problem:
            return _error(400, "BadRequest", str(problem))
        return web.Response()

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.query.get("api-version") != _API_VERSION:
            return _error(400, "BadRequest", f"api-version must be {_API_VERSION}")
        try:
            self._authenticate(request.headers)
        except PermissionError as problem:
            return _error(401, "Unauthorized", str(problem))
        return None

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        key = headers.get("aeg-sas-key")
        if key is None:
            self._credentials.check_bearer(headers.get("Authorization", ""), AUDIENCE)
        elif not hmac.compare_digest(key.encode(), self.key.encode()):
            raise PermissionError("the access key is not that of this topic")

    async def _subscribe(self, request: web.Request) -> web.Response:
        """Creates a subscription from the body of ARM's `Microsoft.EventGrid/eventSubscriptions`."""
        try:
            self._credentials.check_bearer(request.headers.get("Authorization", ""), MANAGEMENT_AUDIENCE)
            properties = (await request.json())["properties"]
            url = properties["destination"]["properties"]["endpointUrl"]
            attempts = int(properties.get("retryPolicy", {}).get("maxDeliveryAttempts", MAX_ATTEMPTS))
            await self.subscribe(request.match_info["name"], str(url), attempts)
        except PermissionError as problem:
            return _error(401, "Unauthorized", str(problem))
        except (SubscriptionRefused, ValueError, KeyError, TypeError, AttributeError) as problem:
            return _error(400, "InvalidRequest", str(problem) or repr(problem))
        return web.json_response({"name": request.match_info["name"], "properties": properties}, status=201)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        try:
            self._credentials.check_bearer(request.headers.get("Authorization", ""), MANAGEMENT_AUDIENCE)
        except PermissionError as problem:
            return _error(401, "Unauthorized", str(problem))
        await self.unsubscribe(request.match_info["name"])
        return web.Response()

    async def _show_log(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.log))

    async def _show_dead(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(dead) for dead in self.dead])

    async def _close(self, _application: web.Application) -> None:
        await asyncio.gather(*(webhook.close() for webhook in self._webhooks.values()))
        if self._http is not None:
            await self._http.close()


def _cloud_events(content_type: str, body: bytes) -> list[CloudEvent]:
    """The events of a request in structured mode. Raises: ValueError that says which is wrong and why."""
    if content_type not in (_BATCH, _SINGLE):
        raise ValueError(f"the topic's input schema is CloudEvents 1.0, not {content_type}")
    document = json.loads(body)
    events = document if content_type == _BATCH else [document]
    if not isinstance(events, list):
        raise ValueError("a batch is a JSON array of CloudEvents")  # noqa: TRY004 - it is the caller's data
    for index, event in enumerate(events):
        problem = problem_with(event)
        if problem is not None:
            raise ValueError(f"event {index} does not match the CloudEvents 1.0 schema: {problem}")
    return events


def _error(status: int, code: str, message: str) -> web.Response:
    detail = {"code": code, "message": message}
    return web.json_response({"error": {**detail, "details": [detail]}}, status=status)
