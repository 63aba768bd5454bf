"""The OpenAPI 3.1 document, written from the table of routes and from the models that read requests and shape answers.

It is made at its first request and kept: a cold start need not wait for it.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.contracts import alert_schema
from shared.errors import (
    Conflict,
    FleetcertError,
    InFlight,
    InfrastructureFault,
    KeyReused,
    NotFound,
    PreconditionFailed,
    SettingsError,
    Throttled,
)
from shared.schemas import alert_examples, examples
from shared.schemas.access import Forbidden, Role, Unauthenticated
from shared.schemas.alerts import MODELS
from shared.schemas.operations import OPERATION_ID_GRAMMAR
from shared.schemas.problems import KINDS, MEDIA_TYPE, UNEXPECTED, Kind, Problem
from shared.schemas.requests import (
    DEVICE_ID_GRAMMAR,
    IDEMPOTENCY_KEY_GRAMMAR,
    BodyTooLarge,
    Invalid,
    LengthRequired,
    Malformed,
    SecretSent,
    UnsupportedMediaType,
)
from shared.schemas.routes import ROUTES
from shared.schemas.routing import DEVICE_ID, FILE, JSON, OPERATION_ID, SUPPRESSION_ID, Answer, Link, Route
from shared.schemas.rulings import SUPPRESSION_ID_GRAMMAR

VERSION: Final = "1"
"""Of the API. It counts what would break a caller; what is added does not."""

_REF: Final = "#/components/schemas/{name}"
_SCHEME: Final = "entra"
_ABOUT: Final = """\
Operational certificates of Azure IoT fleets: who holds which, when it ends, who must renew and who is shut out.
Instants are RFC 3339 in UTC. Whoever reads an answer ignores members that it does not know. Errors are problem
documents (RFC 9457) whose `type` is stable. `docs/api.md` of the project says the rest.
"""
_ALWAYS: Final[tuple[type[FleetcertError], ...]] = (Malformed, SettingsError, Throttled, InfrastructureFault)
_WITH_ROLES: Final = (Unauthenticated, Forbidden)
_WITH_BODY: Final = (
    *(Conflict, InFlight, LengthRequired, BodyTooLarge),
    *(UnsupportedMediaType, Invalid, SecretSent, KeyReused),
)
_PROBLEM_HEADERS: Final[Mapping[HTTPStatus, Mapping[str, str]]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: {"Content-Range": "How many bytes there are"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "Seconds to wait"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "Seconds to wait; not there where a setting is wrong"},
}
_PATHS: Final[Mapping[str, Mapping[str, Any]]] = {
    DEVICE_ID: {
        "description": "As IoT Hub names it, percent-encoded.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": f"^{DEVICE_ID_GRAMMAR}$"},
        "example": "pump-0042",
    },
    OPERATION_ID: {
        "description": "As the operation's start told it.",
        "schema": {"type": "string", "pattern": f"^{OPERATION_ID_GRAMMAR}$"},
        "example": "251608070400000-5f0c2a2e",
    },
    SUPPRESSION_ID: {
        "description": "As the ruling's answer told it, and as the list of rulings does.",
        "schema": {"type": "string", "pattern": f"^{SUPPRESSION_ID_GRAMMAR}$"},
        "example": "251608070400000-3d2f0f9a",
    },
    FILE: {
        "description": "As the page names it.",
        "schema": {"type": "string", "maxLength": 64, "pattern": r"^[a-z0-9-]+(\.[a-z0-9]+)+$"},
        "example": "app.js",
    },
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key of the same caller has one effect and one answer, for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{IDEMPOTENCY_KEY_GRAMMAR}$"},
}
_RANGE: Final = {
    "name": "Range",
    "in": "header",
    "description": "Which part of the file, as bytes=first-last; a file of more than 8 MiB is given in parts alone.",
    "schema": {"type": "string"},
    "example": "bytes=0-8388607",
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": "The device's ETag: nothing is done where it is not as it was known.",
    "schema": {"type": "string"},
    "example": '"3f1c0d9a5b7e2f4a6c8d0e1f"',
}


@cache
def document() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(build())


def build() -> dict[str, Any]:
    """The document."""
    components = _components()
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in ROUTES:
        paths[f"/{route.path}"][route.method.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "fleetcert", "version": VERSION, "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/api"}],
        "tags": [{"name": name} for name in dict.fromkeys([*(route.group for route in ROUTES), "alerts"])],
        "paths": paths,
        "webhooks": {kind: {"post": _webhook(kind)} for kind in MODELS},
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in _query_models()},
            "responses": {_response_name(kinds): _problem(kinds) for kinds in _every_answer_of_problems()},
            "securitySchemes": {_SCHEME: _security_scheme()},
        },
    }


_LICENSE: Final = {"name": "MIT", "identifier": "MIT"}


def _webhook(kind: str) -> dict[str, Any]:
    """An alert, as Event Grid delivers it to a receiver."""
    model = MODELS[kind]
    envelope = {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "dataschema", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            **{name: {"type": "string"} for name in ("id", "source", "subject", "datacontenttype")},
            "type": {"const": kind},
            "time": {"type": "string", "format": "date-time"},
            "dataschema": {"const": alert_schema(kind)},
            "data": {"$ref": _REF.format(name=model.__name__)},
        },
    }
    content = {"schema": envelope, "example": alert_examples.event_of(kind)}
    return {
        "operationId": kind,
        "summary": inspect.getdoc(model),
        "tags": ["alerts"],
        "security": [],
        "requestBody": {"required": True, "content": {"application/cloudevents+json": content}},
        "responses": {"200": {"description": "The alert is taken; whatever else is answered, it comes again"}},
    }


def problems_of(route: Route[Any, Any]) -> list[Kind]:
    """Every kind of problem that the route may answer, in the order of the table."""
    errors: set[type[Exception]] = {*_ALWAYS, *route.problems}
    errors.update(_WITH_ROLES if route.roles else ())
    errors.update((NotFound,) if route.parameters else ())
    errors.update(_WITH_BODY if route.body else ())
    errors.update((PreconditionFailed,) if route.checks_version else ())
    return [kind for kind in KINDS if kind.error in errors or kind is UNEXPECTED]


def _operation(route: Route[Any, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.group],
        "security": [{_SCHEME: [role.value]} for role in route.roles],
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route, components),
            *([_IDEMPOTENCY_KEY] if route.body else ()),
            *([_IF_MATCH] if route.checks_version else ()),
            *([_RANGE] if route.takes_range else ()),
        ],
        "responses": {
            **{str(int(answer.status)): _answer(answer) for answer in route.answers},
            **{str(int(kinds[0].status)): _problem_ref(kinds) for kinds in _by_status(problems_of(route))},
        },
    }
    if route.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: _content(route.body)}}
    return described


def _path_parameters(route: Route[Any, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, **_PATHS[name]} for name in route.parameters]


def _query_parameters(route: Route[Any, Any], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = components[route.query.__name__]
    return [_query_parameter(name, dict(member)) for name, member in schema["properties"].items()]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    lists = {"explode": False} if schema.get("type") == "array" else {}
    return {"name": name, "in": "query", "description": schema.pop("description", ""), **lists, "schema": schema}


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "description": answer.says,
        "content": {answer.media_type: _shape(answer)},
        **({"headers": _headers(answer.headers)} if answer.headers else {}),
        **({"links": {link.route: _link(link) for link in answer.links}} if answer.links else {}),
    }


def _link(link: Link) -> dict[str, Any]:
    return {"operationId": link.route, "parameters": {link.parameter: f"$response.body#/{link.member}"}}


def _shape(answer: Answer) -> dict[str, Any]:
    if issubclass(answer.model, str):
        return {"schema": {"type": "string"}, "example": examples.TEXTS[answer.media_type]}
    return _content(answer.model)


def _content(model: type[Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(name=model.__name__)}, "example": examples.of(model)}


def _headers(headers: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": says, "schema": {"type": "string"}} for name, says in headers.items()}


def _problem(kinds: tuple[Kind, ...]) -> dict[str, Any]:
    status = kinds[0].status
    shown = {kind.name: {"summary": kind.title, "value": _shown(kind)} for kind in kinds}
    content = {"schema": {"$ref": _REF.format(name=Problem.__name__)}, "examples": shown}
    headers = _PROBLEM_HEADERS.get(status)
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: content},
        **({"headers": _headers(headers)} if headers else {}),
    }


def _shown(kind: Kind) -> Any:
    return msgspec.to_builtins(Problem(type=kind.type, title=kind.title, status=kind.status, detail=kind.title))


def _problem_ref(kinds: tuple[Kind, ...]) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{_response_name(kinds)}"}


def _response_name(kinds: tuple[Kind, ...]) -> str:
    return ".".join(kind.name for kind in kinds)


def _by_status(kinds: Iterable[Kind]) -> list[tuple[Kind, ...]]:
    groups: dict[HTTPStatus, list[Kind]] = defaultdict(list)
    for kind in kinds:
        groups[kind.status].append(kind)
    return [tuple(group) for group in groups.values()]


def _every_answer_of_problems() -> list[tuple[Kind, ...]]:
    return list(dict.fromkeys(kinds for route in ROUTES for kinds in _by_status(problems_of(route))))


def _components() -> dict[str, Any]:
    bodies = {route.body for route in ROUTES if route.body is not None}
    answers = {answer.model for route in ROUTES for answer in route.answers}
    models = {Problem, *MODELS.values(), *bodies, *(answers - {str}), *(route.query for route in ROUTES)}
    _, components = msgspec.json.schema_components(sorted(models, key=lambda m: m.__name__), ref_template=_REF)
    return components


def _query_models() -> set[str]:
    return {route.query.__name__ for route in ROUTES}


def _security_scheme() -> dict[str, Any]:
    roles = ", ".join(f"`{role.value}`" for role in Role)
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": f"A token of Microsoft Entra for this app, with one of its app roles: {roles}.",
    }
