"""The provisioning service as the composition sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from aiohttp import web

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.config import ADR_NAMESPACE
from fleetcert.local.dps.admission import Gate
from fleetcert.local.dps.assignment import Assigner
from fleetcert.local.dps.authorities import CertificateAuthorities
from fleetcert.local.dps.device_mqtt import ProvisioningMqtt
from fleetcert.local.dps.device_rest import DeviceApi
from fleetcert.local.dps.documents import EnrollmentGroupDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.enrollments import Enrollments
from fleetcert.local.dps.operations_log import OperationsLog
from fleetcert.local.dps.registering import Registering
from fleetcert.local.dps.registrations import Registrations
from fleetcert.local.dps.service_rest import ServiceApi
from fleetcert.local.dps.throttle import Throttle
from fleetcert.local.dps.web import errors_as_json
from fleetcert.local.ports import Credentials, EventSink, ProvisionedHub, Registry
from shared.clock import Clock


class ProvisioningService:
    """DPS: holds the enrollments and serves both its APIs.

    hubs: the linked hubs by host name. resource_id: the ARM id, for the resource log. adr_namespace: the linked one.
    assignment_time: how long a device sees `assigning`. registrations_per_minute: the throttle, None for none (Azure:
    1,000).
    """

    def __init__(
        self,
        registry: Registry,
        hubs: Mapping[str, ProvisionedHub],
        sink: EventSink,
        credentials: Credentials,
        assumptions: Assumptions,
        *,
        id_scope: str,
        resource_id: str,
        clock: Clock,
        adr_namespace: str = ADR_NAMESPACE,
        assignment_time: timedelta = timedelta(milliseconds=200),
        registrations_per_minute: int | None = None,
    ) -> None:
        self.id_scope = id_scope
        self.authorities = CertificateAuthorities(clock)
        self.groups: Enrollments[EnrollmentGroupDocument] = Enrollments(clock, hubs.keys, group=True)
        self.individuals: Enrollments[IndividualEnrollmentDocument] = Enrollments(clock, hubs.keys, group=False)
        self.registrations = Registrations()
        self._clock = clock
        self._credentials = credentials
        self._namespace = adr_namespace
        self._registering = Registering(
            Gate(id_scope, self.individuals, self.groups, self.authorities, clock, assumptions),
            Assigner(registry, hubs),
            self.registrations,
            OperationsLog(sink, clock, assumptions, resource_id=resource_id),
            Throttle(registrations_per_minute),
            clock,
            assignment_time,
        )

    def web_application(self) -> web.Application:
        """Device and service API for one HTTPS port.

        The transport gives the client's certificates as `get_extra_info("peer_chain")`, unverified, leaf first.
        """
        application = web.Application(middlewares=[errors_as_json(self._clock)])
        service = ServiceApi(self.groups, self.individuals, self.registrations, self._credentials, self._namespace)
        application.add_routes(service.routes())
        application.add_routes(DeviceApi(self.id_scope, self._registering).routes())
        return application

    def mqtt_endpoint(self) -> ProvisioningMqtt:
        """The device API for the MQTT listener."""
        return ProvisioningMqtt(self.id_scope, self._registering, self._clock)
