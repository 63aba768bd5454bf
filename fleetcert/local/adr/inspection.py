"""What a real registry does not show: the certificates that it issued, for the demo's and the tests' checks."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from fleetcert.certificates import key_identifier, thumbprint
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.arm_protocol import authorize
from fleetcert.local.ports import Credentials
from shared.contracts import format_instant


def inspection_routes(registry: DeviceRegistry, credentials: Credentials) -> Iterable[web.RouteDef]:
    """`GET /_local/certificates`: [{"deviceId", "thumbprint", "notAfter", "key"}], each device's oldest first.

    key: the subject key identifier, by which one sees whether a device made a new one.
    """

    async def certificates(request: web.Request) -> web.Response:
        authorize(request, credentials)
        return web.json_response(
            [
                {
                    "deviceId": device.device_id,
                    "thumbprint": thumbprint(certificate),
                    "notAfter": format_instant(certificate.not_valid_after_utc),
                    "key": key_identifier(certificate),
                }
                for device in registry.devices
                for certificate in device.issued
            ]
        )

    return [web.get("/_local/certificates", certificates)]
