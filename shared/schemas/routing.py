"""What a route of the HTTP API is: a path, what it takes, who may, and what it answers.

One path has one method: Azure's host answers 404 for a method that a trigger does not list, so ours list none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal

from msgspec import Struct, field

from shared.errors import FleetcertError
from shared.schemas.access import Role

DEVICE_ID: Final = "deviceId"
OPERATION_ID: Final = "operationId"
SUPPRESSION_ID: Final = "suppressionId"
FILE: Final = "file"
JSON: Final = "application/json"
CSV: Final = "text/csv"
HTML: Final = "text/html"
SCHEMA: Final = "application/schema+json"
ANY: Final = "*/*"

_PARAMETER: Final = r"\{(\w+)\}"


class NoBody(Struct, frozen=True):
    """Nothing is taken."""


class Link(Struct, frozen=True):
    """Where a caller goes from an answer: a route's name, and its parameter that is the member of the answer."""

    route: str
    parameter: str
    member: str


class Answer(Struct, frozen=True, kw_only=True):
    """What a route answers where all went well. model: str where it is no JSON. headers: by name, what they say."""

    model: type[Struct] | type[str]
    says: str
    status: HTTPStatus = HTTPStatus.OK
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()


class Route[Q: Struct, B: Struct = NoBody](Struct, frozen=True, kw_only=True):
    """A path below `/api` and what it takes. roles: one of them opens it; none: open to everybody. body None: no body.

    problems: what it answers beside what every route of its kind does. checks_version, takes_range:
    `If-Match` and `Range` are heeded.
    """

    name: str
    path: str
    summary: str
    group: str
    answers: tuple[Answer, ...]
    query: type[Q]
    body: type[B] | None = None
    roles: tuple[Role, ...] = (Role.READ,)
    problems: tuple[type[FleetcertError], ...] = ()
    checks_version: bool = False
    takes_range: bool = False

    @property
    def method(self) -> Literal["GET", "POST"]:
        """GET reads and takes no body, POST changes something and takes one."""
        return "GET" if self.body is None else "POST"

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that the path takes."""
        return ("GET", "HEAD") if self.body is None else ("POST",)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(re.findall(_PARAMETER, self.path))
