"""The third generation of Azure Device Registry on the wire, as azure-rest-api-specs has it and as far as we use it.

deviceregistry 2026-11-02-preview: registryDevices.tsp, registryDeviceAuthenticationProfiles.tsp, and ARM's asynchronous
operations. It keeps what it is told, and refuses what the specification does not know.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAMESPACE = "/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.DeviceRegistry/namespaces/ns-1"
VERSION = "2026-11-02-preview"


@dataclass
class RegistryDevices:
    """Devices by the name of their resource. looks: answers 202 before work is done; failure: how work ends."""

    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    profiles: dict[str, dict[str, str]] = field(default_factory=dict)
    revoked: list[tuple[str, str]] = field(default_factory=list)
    looks: int = 1
    failure: dict[str, str] | None = None
    page: int = 2
    _operations: dict[str, int] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def add(self, name: str, external_id: str, state: str = "Enabled", **profiles: str) -> None:
        self.devices[name] = {"externalDeviceId": external_id, "enablementState": state}
        self.profiles[name] = profiles or {"default": "CertificateAuthority"}

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._checked])
        devices = f"{NAMESPACE}/registryDevices"
        app.add_routes(
            [
                web.get(devices, self._list),
                web.get(devices + "/{name}", self._get),
                web.patch(devices + "/{name}", self._patch),
                web.get(devices + "/{name}/authenticationProfiles", self._list_profiles),
                web.post(devices + "/{name}/authenticationProfiles/{profile}/revokeCertificates", self._revoke),
                web.get("/operationResults/{id}", self._result),
            ]
        )
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer a-token":
            return web.json_response({"error": {"code": "AuthenticationFailed"}}, status=401)
        if request.query.get("api-version") != VERSION:
            return web.json_response({"error": {"code": "NoRegisteredProviderFound"}}, status=400)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _list(self, request: web.Request) -> web.Response:
        start, names = int(request.query.get("$skipToken", 0)), list(self.devices)
        body: dict[str, Any] = {"value": [self._document(name) for name in names[start : start + self.page]]}
        if start + self.page < len(names):
            query = {"api-version": VERSION, "$skipToken": str(start + self.page)}
            body["nextLink"] = str(request.url.with_query(query))
        return web.json_response(body)

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.devices:
            return web.json_response({"error": {"code": "ResourceNotFound"}}, status=404)
        return web.json_response(self._document(name))

    async def _patch(self, request: web.Request) -> web.Response:
        name, document = request.match_info["name"], await request.json()
        state = document["properties"]["enablementState"]
        if document.keys() != {"properties"} or state not in ("Enabled", "Disabled"):
            return web.json_response({"error": {"code": "InvalidRequestContent"}}, status=400)
        self.devices[name]["enablementState"] = state
        return self._accepted(request)

    async def _list_profiles(self, request: web.Request) -> web.Response:
        profiles = self.profiles[request.match_info["name"]].items()
        return web.json_response({"value": [{"name": n, "properties": {"authenticationType": t}} for n, t in profiles]})

    async def _revoke(self, request: web.Request) -> web.Response:
        place = request.match_info["name"], request.match_info["profile"]
        if self.profiles[place[0]][place[1]] != "CertificateAuthority":
            return web.json_response({"error": {"code": "InvalidAuthenticationType"}}, status=400)
        self.revoked.append(place)
        return self._accepted(request)

    async def _result(self, request: web.Request) -> web.Response:
        operation = request.match_info["id"]
        self._operations[operation] -= 1
        if self._operations[operation] >= 0:
            return web.Response(status=202, headers={"Retry-After": "0"})
        if self.failure is not None:
            return web.json_response({"status": "Failed", "error": self.failure})
        return web.Response(status=204)

    def _accepted(self, request: web.Request) -> web.Response:
        operation = f"op-{next(self._numbers)}"
        self._operations[operation] = self.looks
        location = request.url.with_path(f"/operationResults/{operation}").with_query({"api-version": VERSION})
        return web.Response(status=202, headers={"Location": str(location), "Retry-After": "0"})

    def _document(self, name: str) -> dict[str, Any]:
        return {"name": name, "properties": dict(self.devices[name])}
