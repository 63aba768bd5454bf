"""DPS's device API over HTTPS."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from fleetcert.local.dps.admission import Evidence
from fleetcert.local.dps.errors import not_found
from fleetcert.local.dps.registering import Answer, Caller, Registering
from fleetcert.local.dps.web import api_version, json_body


class DeviceApi:
    """Register, poll and look up (azure-rest-api-specs: deviceprovisioningservices, device data plane)."""

    def __init__(self, id_scope: str, registering: Registering) -> None:
        self._id_scope = id_scope
        self._registering = registering

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes below the service's root."""
        registration = "/{id_scope}/registrations/{registration_id}"
        return (
            web.put(f"{registration}/register", self._register),
            web.get(f"{registration}/operations/{{operation_id}}", self._poll),
            web.post(registration, self._look_up),
        )

    async def _register(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        answer = self._registering.register(caller, await json_body(request))
        response = _respond(answer)
        if answer.retry_after is not None:
            path = f"/{self._id_scope}/registrations/{caller.registration_id}/operations/{answer.body['operationId']}"
            location = request.url.with_path(path).with_query({"api-version": caller.api_version})
            response.headers["Location"] = str(location)
        return response

    async def _poll(self, request: web.Request) -> web.Response:
        return _respond(self._registering.poll(self._caller(request), request.match_info["operation_id"]))

    async def _look_up(self, request: web.Request) -> web.Response:
        return _respond(self._registering.look_up(self._caller(request), await json_body(request)))

    def _caller(self, request: web.Request) -> Caller:
        if request.match_info["id_scope"] != self._id_scope:
            raise not_found("Device Provisioning Service not found")
        return Caller(request.match_info["registration_id"], _evidence(request), api_version(request), "Http")


def _evidence(request: web.Request) -> Evidence:
    token = request.headers.get("Authorization")
    if token is not None:
        return Evidence(token=token)
    transport = request.transport
    return Evidence(chain=transport.get_extra_info("peer_chain") or () if transport else ())


def _respond(answer: Answer) -> web.Response:
    headers = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
    return web.json_response(answer.body, status=answer.status, headers=headers)
