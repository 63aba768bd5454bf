"""Event Grid's push delivery to webhooks: the validation handshake, retries, and what happens in the end.

Azure docs: "Event Grid message delivery and retry", "CloudEvents v1.0 webhook validation". Two departures: plain http
is taken for webhooks on the loopback, and the retry schedule is that of Azure divided by ten.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

_log = logging.getLogger(__name__)

ORIGIN: Final = "eventgrid.azure.net"
RETRY_SECONDS: Final = (1.0, 3.0, 6.0, 30.0, 60.0, 180.0, 360.0)
"""Waits before the second and later attempts; the last one repeats."""
MAX_ATTEMPTS: Final = 30

_RESPONSE_SECONDS: Final = 30
_HANDSHAKE_SECONDS: Final = 10
_AT_A_TIME: Final = 10
_MAX_PENDING: Final = 10_000
_DELIVERED: Final = frozenset({200, 201, 202, 203, 204})
_FINAL: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
)

type CloudEvent = Mapping[str, Any]


class SubscriptionRefused(Exception):
    """A subscription that Event Grid would not create. The message says why."""


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that a subscription could not be given. reason: `MaxDeliveryAttemptsExceeded` or an HTTP status."""

    subscription: str
    event: CloudEvent
    reason: str
    attempts: int


class Webhook:
    """One subscription: delivers each event at least once, in no particular order."""

    def __init__(
        self,
        name: str,
        url: str,
        http: aiohttp.ClientSession,
        dead: deque[DeadEvent],
        *,
        max_attempts: int = MAX_ATTEMPTS,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        self.name = name
        self._url = url
        self._http = http
        self._dead = dead
        self._max_attempts = max_attempts
        self._retry_seconds = retry_seconds
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._deliveries: set[asyncio.Task[None]] = set()

    async def validate(self) -> None:
        """Asks the endpoint whether it wants our events (CloudEvents: HTTP 1.1 Web Hooks, section 4).

        Raises: SubscriptionRefused.
        """
        _require_safe(self._url)
        try:
            async with self._http.options(
                self._url, headers={"WebHook-Request-Origin": ORIGIN}, timeout=_timeout(_HANDSHAKE_SECONDS)
            ) as answer:
                allowed = answer.headers.get("WebHook-Allowed-Origin", "")
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise SubscriptionRefused(f"the webhook did not answer the validation request: {problem!r}") from problem
        if answer.status != HTTPStatus.OK or allowed not in (ORIGIN, "*"):
            raise SubscriptionRefused(f"the webhook answered {answer.status} and allows the origin {allowed!r}")

    def deliver(self, event: CloudEvent) -> None:
        """Starts to deliver."""
        if len(self._deliveries) >= _MAX_PENDING:
            self._dead.append(DeadEvent(self.name, event, "TooManyPending", 0))
            return
        task = asyncio.get_running_loop().create_task(self._deliver(event))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def close(self) -> None:
        """Gives up what is not delivered yet."""
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    async def _deliver(self, event: CloudEvent) -> None:
        for attempt in range(self._max_attempts):
            if attempt:
                await asyncio.sleep(self._retry_seconds[min(attempt, len(self._retry_seconds)) - 1])
            async with self._turns:
                status = await self._attempt(event, attempt)
            if status in _DELIVERED:
                return
            _log.info("webhook %s answered %s to event %s (attempt %d)", self.name, status, event["id"], attempt + 1)
            if status in _FINAL:
                self._dead.append(DeadEvent(self.name, event, str(status), attempt + 1))
                return
        self._dead.append(DeadEvent(self.name, event, "MaxDeliveryAttemptsExceeded", self._max_attempts))

    async def _attempt(self, event: CloudEvent, attempt: int) -> int | None:
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": self.name.upper(),
            "aeg-delivery-count": str(attempt),
        }
        body = json.dumps(event).encode()
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, timeout=_timeout(_RESPONSE_SECONDS), allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None


def _require_safe(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1"):
        raise SubscriptionRefused(f"the webhook's URL must be https: {url}")


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)
