"""How DPS refuses: an HTTP status, a six-digit code and the body that its clients parse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from uuid import uuid4

from fleetcert.local.instants import precise

CODES: Final[Mapping[HTTPStatus, int]] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: 400004,
        HTTPStatus.UNAUTHORIZED: 401002,
        HTTPStatus.NOT_FOUND: 404201,
        HTTPStatus.METHOD_NOT_ALLOWED: 405001,
        HTTPStatus.CONFLICT: 409201,
        HTTPStatus.PRECONDITION_FAILED: 412001,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: 415001,
        HTTPStatus.TOO_MANY_REQUESTS: 429001,
        HTTPStatus.INTERNAL_SERVER_ERROR: 500001,
    }
)
"""Statuses as in Azure docs: how-to-troubleshoot-dps. 401002 and 404201 were seen in public issues; the other codes
follow IoT Hub's numbering and are assumed."""


class Refusal(Exception):
    """A request that DPS answers with an error. `retry_after`: seconds, where waiting helps."""

    def __init__(self, status: HTTPStatus, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = CODES[status]
        self.message = message
        self.retry_after = retry_after

    def body(self, now: datetime) -> dict[str, Any]:
        """The JSON body, with a tracking id of its own."""
        return {
            "errorCode": self.code,
            "trackingId": str(uuid4()),
            "message": self.message,
            "timestampUtc": precise(now),
        }


def bad_request(message: str) -> Refusal:
    """400: the request cannot be understood."""
    return Refusal(HTTPStatus.BAD_REQUEST, message)


def unauthorized(message: str = "Unauthorized") -> Refusal:
    """401: attestation or authorization failed."""
    return Refusal(HTTPStatus.UNAUTHORIZED, message)


def not_found(message: str) -> Refusal:
    """404: there is no such resource."""
    return Refusal(HTTPStatus.NOT_FOUND, message)


def precondition_failed() -> Refusal:
    """412: If-Match names another version than the present one."""
    return Refusal(HTTPStatus.PRECONDITION_FAILED, "The ETag in the request does not match the existing resource")
