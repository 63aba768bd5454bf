"""What an agent needs of the world, as small protocols. Tests give it fakes, devices the real thing."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from cryptography import x509

from fleetcert.device.chains import Chain, Chained
from fleetcert.device.csr import KeyKind
from fleetcert.device.messages import Message

type Timer = Callable[[], float]
"""Seconds that nobody can set back: `time.monotonic`."""


class Way(StrEnum):
    """How a certificate is renewed: by registering with DPS again, or by a request to the hub."""

    DPS = "dps"
    IOTHUB = "iothub"


@dataclass(frozen=True, slots=True)
class Operational(Chained):
    """An operational certificate, and where it is used. present: brings chain and key into a TLS context."""

    hub: str
    device_id: str
    chain: Chain
    present: Callable[[ssl.SSLContext], None] = field(repr=False, compare=False)


class KeyStore(Protocol):
    """Where private keys are made and used. None ever leaves it: the agent knows them by name.

    Every method raises DiskFault where the medium fails. What it returned from is durable.
    """

    def create(self, kind: KeyKind) -> str:
        """Makes a key and returns its name."""

    def request(self, name: str, common_name: str) -> bytes:
        """A PKCS#10 request as DER, signed by the key. Raises: KeyError where there is no such key."""

    def certify(self, name: str, chain: Chain) -> None:
        """Keeps the certificates of a key. Raises: ValueError where they are another key's, KeyError."""

    def chain(self, name: str) -> Chain:
        """The certificates of a key. Raises: KeyError where key or certificates are missing or damaged."""

    def present(self, name: str, context: ssl.SSLContext) -> None:
        """Has the context prove possession of the key, with its certificates."""

    def keep_only(self, names: Collection[str]) -> None:
        """Destroys all other keys."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a device belongs, and the certificate that it was issued."""

    hub: str
    device_id: str
    chain: Chain


class Registrar(Protocol):
    """DPS: has a request for an operational certificate signed."""

    def register(self, registration_id: str, request: bytes) -> Assignment:
        """Registers with a DER PKCS#10 request.

        Raises: Barred, InfrastructureFault (Throttled among them), Stopped.
        """


@dataclass(frozen=True, slots=True)
class IssuanceRequest:
    """A request for a certificate to the hub. csr: DER. replace: the pending request it takes the place of; `*`: any.

    request_id: 4 to 36 letters, digits and dashes.
    """

    request_id: str
    csr: bytes
    replace: str | None = None


class HubSession(Protocol):
    """An open connection to the hub. Every method but the last two raises InfrastructureFault where it is gone."""

    def reported(self) -> Mapping[str, Any]:
        """The reported properties as the twin holds them."""

    def report(self, patch: Mapping[str, Any]) -> None:
        """Patches the reported properties and waits for the hub's answer. Raises: ReportRefused."""

    def request_certificate(self, request: IssuanceRequest) -> Chain:
        """Has the hub sign, and waits for it. Raises: IssuanceRefused."""

    def send(self, message: Message) -> None:
        """Sends a message to the cloud and waits until the hub has it."""

    def abort(self) -> None:
        """Ends the connection at once, from any thread: whoever waits gets an InfrastructureFault."""

    def close(self) -> None:
        """Ends the connection; `on_lost` is not called for it."""


class Hub(Protocol):
    """The way to an IoT Hub."""

    def connect(
        self, operational: Operational, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> HubSession:
        """Connects with the operational certificate and subscribes to cloud-to-device messages.

        Both callbacks come from another thread. Raises: ConnectionRefused, InfrastructureFault.
        """


class Describe(Protocol):
    """Says what the device tells its twin about its credentials."""

    def __call__(
        self, certificate: x509.Certificate, onboarding: x509.Certificate | None
    ) -> Sequence[Mapping[str, Any]]:
        """The patches of the reported properties, in order. onboarding: None for a symmetric key."""
