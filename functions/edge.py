"""The edge of the HTTP functions: who calls, what they may send, and every error as a problem document.

A trigger that lists its methods makes Azure's host answer 404 for the others; ours list none, and answer 405 here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import azure.functions as func
from msgspec import Struct, field
from msgspec.structs import replace

from shared.composition import app
from shared.errors import InfrastructureFault
from shared.schemas import answers, requests
from shared.schemas.access import NOBODY, Principal
from shared.schemas.operations import operation_id
from shared.schemas.problems import MEDIA_TYPE, MethodNotAllowed, headers_of, problem_of
from shared.schemas.queries import read_query
from shared.schemas.routing import DEVICE_ID, JSON, OPERATION_ID, SUPPRESSION_ID, Route
from shared.schemas.rulings import suppression_id

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.services.idempotency import Claim, Idempotency

_log = logging.getLogger(__name__)
_UNKEPT: Final = {"Cache-Control": "no-store"}
"""An answer is about who may do what now: no cache keeps it."""


class Call[Q: Struct, B: Struct](Struct, frozen=True):
    """A request from a caller who may make it, its query and its body read. A route without a body has none here."""

    request: func.HttpRequest
    principal: Principal
    query: Q
    body: B
    claimed: Claim | None = None

    @property
    def device_id(self) -> str:
        """The device in the path. Raises: Malformed."""
        return requests.device_id(self.request.route_params.get(DEVICE_ID))

    @property
    def operation_id(self) -> str:
        """The operation in the path. Raises: Malformed."""
        return operation_id(self.request.route_params.get(OPERATION_ID))

    @property
    def suppression_id(self) -> str:
        """The suppression in the path. Raises: Malformed."""
        return suppression_id(self.request.route_params.get(SUPPRESSION_ID))

    @property
    def claim(self) -> Claim:
        """By what the work of a mutation is known when its request comes again."""
        if self.claimed is None:
            raise TypeError("only mutations are claimed")
        return self.claimed


class Reply(Struct, frozen=True):
    """What an operation answers. document: bytes are sent as they are."""

    document: Struct | bytes
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON

    @property
    def body(self) -> bytes:
        """As it travels."""
        return self.document if isinstance(self.document, bytes) else answers.encode(self.document)


type Handler[Q: Struct, B: Struct] = Callable[[Call[Q, B]], Awaitable[Reply]]


def serves[Q: Struct, B: Struct](
    blueprint: func.Blueprint, route: Route[Q, B]
) -> Callable[[Handler[Q, B]], Handler[Q, B]]:
    """Registers what is decorated as the trigger of a route: path, methods, roles and models are the table's."""

    def register(handle: Handler[Q, B]) -> Handler[Q, B]:
        async def trigger(request: func.HttpRequest) -> func.HttpResponse:
            return await respond(request, route, handle)

        bound = blueprint.route(route=route.path, trigger_arg_name="request", auth_level=func.AuthLevel.ANONYMOUS)
        blueprint.function_name(route.name)(bound(trigger))
        return handle

    return register


async def respond[Q: Struct, B: Struct](
    request: func.HttpRequest, route: Route[Q, B], handle: Handler[Q, B]
) -> func.HttpResponse:
    """The answer of `handle` where the request is the route's and its caller may; what goes wrong, as a problem."""
    try:
        call = _admitted(request, route)
        reply = await handle(call) if route.body is None else await _once(call, route, handle)
    except Exception as error:  # the runtime would answer an empty 500, and the caller could not tell what it was
        reply = _refusal(error)
    return _response(reply)


def refused(error: Exception) -> func.HttpResponse:
    """The problem that an error is."""
    return _response(_refusal(error))


def _response(reply: Reply) -> func.HttpResponse:
    headers = {**_UNKEPT, **reply.headers}
    return func.HttpResponse(reply.body, status_code=reply.status, headers=headers, mimetype=reply.media_type)


def _admitted[Q: Struct, B: Struct](request: func.HttpRequest, route: Route[Q, B]) -> Call[Q, B]:
    if request.method.upper() not in route.allowed:
        raise MethodNotAllowed(route.allowed)
    principal = NOBODY
    if route.roles:
        principal = app.principals.principal(request.headers)
        principal.require(*route.roles)
    query = read_query(request.url, route.query)
    body = requests.read_body(request.get_body(), request.headers, route.body) if route.body else None
    return Call(request, principal, query, cast(Any, body))


async def _once[Q: Struct, B: Struct](call: Call[Q, B], route: Route[Q, B], handle: Handler[Q, B]) -> Reply:
    """A mutation: done once for an idempotency key, and answered alike whenever the same request comes with it."""
    from shared.services.idempotency import Remembered

    key = requests.idempotency_key(call.request.headers)
    keys = (await app.services()).idempotency
    if key is None:
        return await handle(replace(call, claimed=keys.unclaimed()))
    caller = f"{call.principal.object_id}\n{call.principal.app_id}"
    claimed = await keys.claim(caller, key, _said(call.request, route))
    if isinstance(claimed, Remembered):
        replayed = {**claimed.headers, "Idempotent-Replayed": "true"}
        return Reply(claimed.body.encode(), claimed.status, replayed, claimed.media_type)
    try:
        reply = await handle(replace(call, claimed=claimed))
    except Exception as error:  # a refusal is an answer too
        reply = _refusal(error)
    await _settle(keys, claimed, reply)
    return reply


def _said(request: func.HttpRequest, route: Route[Any, Any]) -> bytes:
    """All that a request says, so that another under its key is told from it."""
    head = [route.name, *(request.route_params.get(name, "") for name in route.parameters)]
    return "\n".join([*head, request.headers.get("if-match", ""), ""]).encode() + request.get_body()


async def _settle(keys: Idempotency, claim: Claim, reply: Reply) -> None:
    """Keeps the answer, unless the next request may get another: a fault, or too much at a time."""
    from shared.services.idempotency import Remembered

    try:
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            await keys.release(claim)
            return
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            await keys.give_back(claim)
            return
        answer = Remembered(
            status=reply.status, headers=reply.headers, media_type=reply.media_type, body=reply.body.decode()
        )
        await keys.remember(claim, answer)
    except InfrastructureFault as fault:
        _log.warning("an answer is not remembered, its request will be known by its effect: %s", fault)


def _refusal(error: Exception) -> Reply:
    """The error on the wire, and in the log where it is ours."""
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", problem.type, error, exc_info=error)
    return Reply(problem, problem.status, headers_of(error), MEDIA_TYPE)
