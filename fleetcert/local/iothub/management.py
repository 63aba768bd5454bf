"""The ARM operations that read a hub's CA certificates (Azure docs: REST, IoT Hub resource provider, Certificates).

Writing them is refused: the hub of the local Azure gets its CA certificates from the device registry alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography import x509

from fleetcert.certificates import common_name_of, der, sha1_thumbprint, thumbprint
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.adr.resources import PROVIDER as REGISTRY_PROVIDER
from fleetcert.local.arm_protocol import ArmError, Provider, Scope, not_found
from fleetcert.local.iothub.hub import IotHub

PROVIDER: Final = "Microsoft.Devices/IotHubs"
WITH_POLICIES: Final = ("2025-08-01-preview", "2026-05-01-preview")
"""The versions whose certificates carry `policyResourceId`."""
API_VERSIONS: Final = ("2023-06-30", *WITH_POLICIES)


class HubCertificates:
    """List and get."""

    def __init__(self, hub: IotHub, registry: DeviceRegistry, scope: Scope) -> None:
        self._hub = hub
        self._registry = registry
        self._scope = scope

    def provider(self) -> Provider:
        """The routes below the hub."""
        return Provider(f"{PROVIDER}/{self._hub.host_name}", API_VERSIONS, self._routes())

    def _routes(self) -> Iterable[tuple[str, str, Handler]]:
        certificate = "/certificates/{name}"
        return [
            ("GET", "/certificates", self._list),
            ("GET", certificate, self._get),
            ("PUT", certificate, self._refuse),
            ("DELETE", certificate, self._refuse),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"value": [self._to_wire(request, name) for name in self._hub.authorities]})

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        for known in self._hub.authorities:
            if known.casefold() == name.casefold():
                return web.json_response(self._to_wire(request, known))
        raise not_found(name)

    async def _refuse(self, _: web.Request) -> web.Response:
        message = "Here a hub's CA certificates come from the device registry: synchronize its credential."
        raise ArmError(HTTPStatus.CONFLICT, "OperationNotAllowed", message)

    def _to_wire(self, request: web.Request, name: str) -> dict[str, Any]:
        certificate, since = self._hub.authorities[name]
        properties = _properties(certificate, since)
        policy = self._registry.policy_of(certificate)
        if policy is not None and request.query["api-version"] in WITH_POLICIES:
            namespace = f"{REGISTRY_PROVIDER}/{self._registry.namespace}"
            properties["policyResourceId"] = self._scope.resource_id(
                f"{namespace}/credentials/default/policies/{policy}"
            )
        return {
            "id": self._scope.resource_id(f"{PROVIDER}/{self._hub.host_name}/certificates/{name}"),
            "name": name,
            "type": f"{PROVIDER}/Certificates",
            "etag": thumbprint(certificate)[:16],
            "properties": properties,
        }


def _properties(certificate: x509.Certificate, since: datetime) -> dict[str, Any]:
    return {
        "subject": common_name_of(certificate.subject),
        "expiry": format_datetime(certificate.not_valid_after_utc, usegmt=True),
        "thumbprint": sha1_thumbprint(certificate).upper(),
        "isVerified": True,
        "created": format_datetime(since, usegmt=True),
        "updated": format_datetime(since, usegmt=True),
        "certificate": base64.b64encode(der(certificate)).decode(),
    }
