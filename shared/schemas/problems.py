"""Errors as RFC 9457 problem documents: the one place where they become HTTP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from shared.errors import (
    Conflict,
    FleetcertError,
    InFlight,
    InfrastructureFault,
    KeyReused,
    LimitReached,
    NotFound,
    NotPossible,
    PreconditionFailed,
    RevocationUnavailable,
    SettingsError,
    Throttled,
    TooManyAffected,
)
from shared.schemas.access import Forbidden, Unauthenticated
from shared.schemas.ranges import RangeNotSatisfiable, RangeRequired
from shared.schemas.requests import (
    BodyTooLarge,
    Invalid,
    LengthRequired,
    Malformed,
    SecretSent,
    UnsupportedMediaType,
)

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_SECONDS: Final = 5


class MethodNotAllowed(FleetcertError):
    """The resource is there and does not take this method (405)."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"this resource takes {self.allowed}")


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. `type` is stable; `detail` is for people. setting: the one that is missing or wrong."""

    type: str
    title: str
    status: int
    detail: str
    setting: str | UnsetType = UNSET


class Kind(Struct, frozen=True):
    """Which error becomes which problem."""

    error: type[Exception]
    status: HTTPStatus
    name: str
    title: str

    @property
    def type(self) -> str:
        """The problem's stable URI."""
        return f"urn:fleetcert:problem:{self.name}"


UNEXPECTED: Final = Kind(Exception, HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", "Something went wrong")
KINDS: Final = (
    Kind(Malformed, HTTPStatus.BAD_REQUEST, "malformed", "The request cannot be read"),
    Kind(RangeRequired, HTTPStatus.BAD_REQUEST, "range-required", "The file is too large for one answer"),
    Kind(Unauthenticated, HTTPStatus.UNAUTHORIZED, "unauthenticated", "The caller is not known"),
    Kind(Forbidden, HTTPStatus.FORBIDDEN, "forbidden", "The caller lacks a role"),
    Kind(NotFound, HTTPStatus.NOT_FOUND, "not-found", "There is no such thing"),
    Kind(MethodNotAllowed, HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here"),
    Kind(TooManyAffected, HTTPStatus.CONFLICT, "too-many-affected", "More devices would be touched than may be"),
    Kind(RevocationUnavailable, HTTPStatus.CONFLICT, "revocation-unavailable", "Certificates cannot be revoked here"),
    Kind(NotPossible, HTTPStatus.CONFLICT, "not-possible", "The state forbids it"),
    Kind(Conflict, HTTPStatus.CONFLICT, "conflict", "Somebody else wrote first"),
    Kind(InFlight, HTTPStatus.CONFLICT, "in-flight", "The same request is being worked on"),
    Kind(LengthRequired, HTTPStatus.LENGTH_REQUIRED, "length-required", "The body has no length"),
    Kind(PreconditionFailed, HTTPStatus.PRECONDITION_FAILED, "precondition-failed", "It is not as it was known"),
    Kind(BodyTooLarge, HTTPStatus.CONTENT_TOO_LARGE, "too-large", "The body is too large"),
    Kind(UnsupportedMediaType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not of JSON"),
    Kind(
        RangeNotSatisfiable,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "range-not-satisfiable",
        "The file ends before the range",
    ),
    Kind(Invalid, HTTPStatus.UNPROCESSABLE_CONTENT, "invalid", "The request is not valid"),
    Kind(KeyReused, HTTPStatus.UNPROCESSABLE_CONTENT, "key-reused", "The idempotency key stands for another request"),
    Kind(SecretSent, HTTPStatus.UNPROCESSABLE_CONTENT, "secret-sent", "The request holds a secret"),
    Kind(LimitReached, HTTPStatus.TOO_MANY_REQUESTS, "limit-reached", "Too much is under way"),
    Kind(SettingsError, HTTPStatus.SERVICE_UNAVAILABLE, "settings", "A setting is missing or wrong"),
    Kind(Throttled, HTTPStatus.SERVICE_UNAVAILABLE, "throttled", "A service asks for patience"),
    Kind(InfrastructureFault, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "A service does not answer"),
    UNEXPECTED,
)
"""The first kind that fits decides: children stand before their parents."""


def kind_of(error: Exception) -> Kind:
    """The kind of problem that an error is."""
    return next(kind for kind in KINDS if isinstance(error, kind.error))


def problem_of(error: Exception) -> Problem:
    """The problem for an error; one that was not foreseen says nothing of its inside."""
    kind = kind_of(error)
    setting = error.setting if isinstance(error, SettingsError) else UNSET
    return Problem(type=kind.type, title=kind.title, status=kind.status, detail=_detail(error), setting=setting)


def headers_of(error: Exception) -> dict[str, str]:
    """The headers that belong to the problem: `Allow`, `WWW-Authenticate`, `Retry-After`."""
    match error:
        case MethodNotAllowed():
            return {"Allow": error.allowed}
        case RangeNotSatisfiable():
            return {"Content-Range": f"bytes */{error.size}"}
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case Throttled() | LimitReached() | InFlight():
            return {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}
        case InfrastructureFault():
            return {"Retry-After": str(_RETRY_SECONDS)}
        case _:
            return {}


def _detail(error: Exception) -> str:
    if kind_of(error) is UNEXPECTED:
        return "The failure is in the log under the time of this request"
    if isinstance(error, InfrastructureFault):
        return f"{error.service} is not at hand: try again"  # what it said may name hosts and accounts
    return "; ".join((str(error), *getattr(error, "__notes__", ())))
