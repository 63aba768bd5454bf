"""Errors as RFC 9457 problem documents: the one place where they become HTTP."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from shared.errors import (
    CommandRefused,
    Conflict,
    FleetcertError,
    InfrastructureFault,
    NotFound,
    NotPossible,
    SettingsError,
    Throttled,
)
from shared.schemas.access import Forbidden, Unauthenticated
from shared.schemas.requests import Invalid, Malformed

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_SECONDS: Final = 5


class MethodNotAllowed(FleetcertError):
    """The resource is there and does not take this method (405)."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this resource takes {allowed}")
        self.allowed = allowed


class UnsupportedMediaType(FleetcertError):
    """A body must be application/json (415). A browser's form cannot be sent across sites that way."""

    def __init__(self) -> None:
        super().__init__("send the body as application/json")


class BodyTooLarge(FleetcertError):
    """The body is larger than any that is meant (413)."""


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. `type` is stable; `detail` is for people. setting: the one that is missing or wrong."""

    type: str
    title: str
    status: int
    detail: str
    setting: str | UnsetType = UNSET


_KINDS: Final[tuple[tuple[type[FleetcertError], HTTPStatus, str, str], ...]] = (
    (Malformed, HTTPStatus.BAD_REQUEST, "malformed", "The request cannot be read"),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, "unauthenticated", "The caller is not known"),
    (Forbidden, HTTPStatus.FORBIDDEN, "forbidden", "The caller lacks a role"),
    (NotFound, HTTPStatus.NOT_FOUND, "not-found", "There is no such thing"),
    (MethodNotAllowed, HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here"),
    (NotPossible, HTTPStatus.CONFLICT, "not-possible", "The state forbids it"),
    (Conflict, HTTPStatus.CONFLICT, "conflict", "Somebody else wrote first"),
    (CommandRefused, HTTPStatus.CONFLICT, "command-refused", "IoT Hub takes no command for the device"),
    (BodyTooLarge, HTTPStatus.CONTENT_TOO_LARGE, "too-large", "The body is too large"),
    (UnsupportedMediaType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not JSON"),
    (Invalid, HTTPStatus.UNPROCESSABLE_CONTENT, "invalid", "The request is not valid"),
    (SettingsError, HTTPStatus.SERVICE_UNAVAILABLE, "settings", "A setting is missing or wrong"),
    (Throttled, HTTPStatus.SERVICE_UNAVAILABLE, "throttled", "A service asks for patience"),
    (InfrastructureFault, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "A service does not answer"),
)
"""The first kind that fits decides: children stand before their parents."""


def problem_of(error: Exception) -> Problem:
    """The problem for an error; one that was not foreseen says nothing of its inside."""
    for kind, status, name, title in _KINDS:
        if isinstance(error, kind):
            setting = error.setting if isinstance(error, SettingsError) else UNSET
            return Problem(type=_urn(name), title=title, status=status, detail=_detail(error), setting=setting)
    return Problem(
        type=_urn("unexpected"),
        title="Something went wrong",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="The failure is in the log under the time of this request",
    )


def headers_of(error: Exception) -> dict[str, str]:
    """The headers that belong to the problem: `Allow`, `WWW-Authenticate`, `Retry-After`."""
    match error:
        case MethodNotAllowed():
            return {"Allow": error.allowed}
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case Throttled():
            return {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}
        case InfrastructureFault():
            return {"Retry-After": str(_RETRY_SECONDS)}
        case _:
            return {}


def _urn(name: str) -> str:
    return f"urn:fleetcert:problem:{name}"


def _detail(error: FleetcertError) -> str:
    if isinstance(error, InfrastructureFault):
        return f"{error.service} is not at hand: try again"  # what it said may name hosts and accounts
    return "; ".join((str(error), *getattr(error, "__notes__", ())))
