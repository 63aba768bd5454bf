"""Azure Resource Manager: one HTTPS application over the device registry and the CA certificates of DPS and the hub."""

from __future__ import annotations

from aiohttp import web

from fleetcert.local.adr.inspection import inspection_routes
from fleetcert.local.adr.management import DeviceRegistryManagement
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.arm_protocol import LongRunning, Scope, errors_as_json
from fleetcert.local.dps.management import CertificateManagement
from fleetcert.local.dps.service import ProvisioningService
from fleetcert.local.iothub.hub import IotHub
from fleetcert.local.iothub.management import HubCertificates
from fleetcert.local.ports import Credentials
from shared.clock import Clock


def arm_application(
    registry: DeviceRegistry,
    provisioning: ProvisioningService,
    hub: IotHub,
    credentials: Credentials,
    *,
    subscription_id: str,
    resource_group: str,
    dps_name: str,
    clock: Clock,
) -> web.Application:
    """The application; callers bring bearer tokens for https://management.azure.com."""
    scope = Scope(subscription_id, resource_group)
    long_running = LongRunning(scope, clock)
    application = web.Application(middlewares=[errors_as_json])
    for provider in (
        DeviceRegistryManagement(registry, scope, long_running).provider(),
        CertificateManagement(dps_name, provisioning.authorities, scope).provider(),
        HubCertificates(hub, registry, scope).provider(),
    ):
        application.add_routes(provider.route_table(scope, credentials))
    application.add_routes(long_running.route_table(credentials))
    application.add_routes(inspection_routes(registry, credentials))
    return application
