"""Registration at the Device Provisioning Service: asks, and polls for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final, Protocol

from fleetcert.device.ports import Assignment
from fleetcert.device.registration import Assigning, DpsAnswer, outcome
from shared.errors import InfrastructureFault

MAX_POLLS: Final = 60

type Pause = Callable[[timedelta], None]
"""Sleeps, and may raise Stopped."""


class DpsExchange(Protocol):
    """An open connection to DPS, for one device. Raises: RegistrationRefused, InfrastructureFault."""

    def register(self, request: bytes) -> DpsAnswer:
        """Asks for a registration with a DER PKCS#10 request."""

    def poll(self, operation_id: str) -> DpsAnswer:
        """Asks how the registration stands."""


class DpsTransport(Protocol):
    """The way to DPS."""

    def connect(self, registration_id: str) -> AbstractContextManager[DpsExchange]:
        """Opens a connection. Raises: RegistrationRefused, InfrastructureFault."""


class ProvisioningClient:
    """A `Registrar` over a transport."""

    def __init__(self, transport: DpsTransport, pause: Pause) -> None:
        self._transport = transport
        self._pause = pause

    def register(self, registration_id: str, request: bytes) -> Assignment:
        """Registers, waits for the assignment, and returns it with the certificate issued for the DER `request`.

        Raises: RegistrationRefused, RegistrationDisabled, Throttled, InfrastructureFault, Stopped.
        """
        with self._transport.connect(registration_id) as exchange:
            said = outcome(exchange.register(request))
            for _ in range(MAX_POLLS):
                if not isinstance(said, Assigning):
                    return said
                self._pause(said.pause)
                said = outcome(exchange.poll(said.operation_id))
        raise InfrastructureFault("DPS", f"still assigning after {MAX_POLLS} polls")
