"""The HTTP front: routes to HTTP triggers behind the gate and the keys, and the host's own admin endpoints."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from fleetcert.local.functions_host.engine import Function, Outcome
from fleetcert.local.functions_host.gate import Gate
from fleetcert.local.functions_host.invoker import Invoker, Stopping
from fleetcert.local.functions_host.keys import Keys
from fleetcert.local.functions_host.routes import Route, RouteTable, compile_route
from fleetcert.local.functions_host.wire import http_datum

_LARGEST_BODY: Final = 100 * 2**20  # Azure docs: HTTP trigger limits
_SET_BY_THE_SERVER: Final = frozenset({"content-length", "transfer-encoding", "connection"})

type RunNow = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """An HTTP function with its trigger's expanded binding."""

    function: Function
    binding: Mapping[str, Any]

    def route(self, prefix: str) -> Route:
        """The trigger's route below the prefix. Raises: ConfigurationError."""
        template = self.binding.get("route") or self.function.name
        return compile_route(self.function.name, template, self.binding.get("methods") or [], prefix)


class HttpFront:
    """Serves the app's HTTP functions."""

    def __init__(self, functions: list[HttpFunction], prefix: str, invoker: Invoker, gate: Gate, keys: Keys) -> None:
        self._functions = {http.function.name: http for http in functions}
        self._routes = RouteTable([http.route(prefix) for http in functions])
        self._invoker = invoker
        self._gate = gate
        self._keys = keys

    def application(self, status: Callable[[], Mapping[str, Any]], run_now: RunNow) -> web.Application:
        """The aiohttp application. status: what /admin/host/status says. run_now: starts a function by name."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        self._gate.add_routes(application.router)

        async def host_status(_request: web.Request) -> web.Response:
            return web.json_response(status())

        async def admin_run(request: web.Request) -> web.Response:
            if not self._keys.admits(request, "ADMIN"):
                raise web.HTTPUnauthorized
            if not await run_now(request.match_info["name"]):
                raise web.HTTPNotFound
            return web.Response(status=202)

        application.router.add_get("/admin/host/status", host_status)
        application.router.add_post("/admin/functions/{name}", admin_run)
        application.router.add_route("*", r"/{path:[\s\S]*}", self._serve)  # a path may hold an encoded line break
        return application

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = await self._gate.pass_on(request)
        found = self._routes.find(request.method, request.rel_url.raw_path)
        if found is None:
            raise web.HTTPNotFound
        name, params = found
        http = self._functions[name]
        if not self._keys.admits(request, http.binding.get("authLevel", "FUNCTION")):
            raise web.HTTPUnauthorized
        body = await request.read() if request.content_length else b""  # Azure's host drops bodies without a length
        datum = http_datum(
            method=request.method,
            url=str(request.url),
            headers=_joined(headers.items()),
            query=_joined(request.query.items()),
            params=params,
            body=body,
        )
        try:
            async with self._invoker.work():
                inputs, caller = {http.binding["name"]: datum}, request.headers.get("traceparent")
                outcome = await self._invoker.once(http.function, inputs, {}, caller=caller)
        except Stopping as error:
            raise web.HTTPServiceUnavailable from error
        return _response(outcome)


def _joined(items: Any) -> dict[str, str]:
    """One value a name: .NET joins repeated headers and query values with a comma."""
    joined: dict[str, str] = {}
    for name, value in items:
        key = next((known for known in joined if known.lower() == name.lower()), name)
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _response(outcome: Outcome) -> web.Response:
    if not outcome.ok:
        return web.Response(status=500)
    datum = outcome.returned
    if datum is None or datum.type is None:
        return web.Response(status=204)
    if datum.type != "http":
        return web.Response(text=datum.value if isinstance(datum.value, str) else json.dumps(datum.value))
    content = datum.value
    response = web.Response(status=int(content["status_code"].value), body=_body(content["body"]))
    for name, header in content["headers"].items():
        if name.lower() not in _SET_BY_THE_SERVER:
            response.headers[name] = header.value
    for cookie in content.get("cookies") or ():
        for morsel in cookie.values():
            response.headers.add("Set-Cookie", morsel.OutputString())
    return response


def _body(datum: Any) -> bytes:
    value = datum.value
    return value if isinstance(value, bytes) else str(value).encode("utf-8")
