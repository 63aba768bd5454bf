"""What an agent needs of the world, as small protocols. Tests give it fakes, devices the real thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography import x509

from fleetcert.device.keystore import Operational


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a device belongs, and the certificate that it was issued (leaf first)."""

    hub: str
    device_id: str
    chain: tuple[x509.Certificate, ...]


class Registrar(Protocol):
    """Has a request for an operational certificate signed: DPS today, the hub itself some day."""

    def register(self, registration_id: str, request: bytes) -> Assignment:
        """Registers with a DER PKCS#10 request.

        Raises: Barred, InfrastructureFault (Throttled among them), Stopped.
        """


class HubSession(Protocol):
    """An open connection to the hub."""

    def report(self, patch: Mapping[str, Any]) -> None:
        """Patches the reported properties and waits for the hub's answer.

        Raises: ReportRefused, InfrastructureFault.
        """

    def close(self) -> None:
        """Ends the connection; `on_lost` is not called for it."""


class Hub(Protocol):
    """The way to an IoT Hub."""

    def connect(
        self, operational: Operational, on_command: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> HubSession:
        """Connects with the operational certificate and subscribes to cloud-to-device messages.

        Both callbacks come from another thread. Raises: ConnectionRefused, InfrastructureFault.
        """


class Describe(Protocol):
    """Says what the device tells its twin about its credentials."""

    def __call__(self, certificate: x509.Certificate, onboarding: x509.Certificate) -> Sequence[Mapping[str, Any]]:
        """The patches of the reported properties, in order."""
