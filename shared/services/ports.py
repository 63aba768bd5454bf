"""The ports: what the services need of the world, as small protocols. The adapters implement them; no SDK type crosses.

Every method may raise `InfrastructureFault` (retry later) and its child `Throttled`; what else is raised is said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from shared.contracts import RenewCertificate
from shared.domain.alerts import Alert
from shared.domain.circumstances import Circumstances
from shared.domain.envelope import Envelope
from shared.domain.leaves import Leaf
from shared.domain.record import Before

type Value = str | int | bool | datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A table row: `partition` and `key` identify it, `etag` is the version that was read (None: not read)."""

    partition: str
    key: str
    values: Mapping[str, Value]
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One operation of a transaction.

    insert: fails with Conflict where the row exists. replace: fails with Conflict unless `row.etag` is still current.
    upsert: replaces whatever is there. delete: removes the row, and is content where there is none.
    """

    kind: Literal["insert", "replace", "upsert", "delete"]
    row: Row


class Table(Protocol):
    """The fleet table."""

    async def get(self, partition: str, key: str) -> Row | None:
        """The row, or None."""

    async def get_many(self, partition: str, keys: Sequence[str]) -> dict[str, Row]:
        """Point reads, concurrently. Keys without a row are absent from the answer."""

    def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        """The rows with low <= key < high in the order of their keys, at most `limit`; pages are fetched as needed."""

    async def commit(self, partition: str, writes: Sequence[Write]) -> Mapping[str, str]:
        """All of the writes (1 to 100, distinct keys) or none. The new ETags of what was written, by key.

        Raises: Conflict.
        """


class Alerts(Protocol):
    """The Event Grid topic."""

    async def publish(self, alerts: Sequence[Alert]) -> None:
        """Publishes all, in as few requests as the service allows."""


class WorkQueue(Protocol):
    """A storage queue whose messages are JSON objects."""

    async def put(self, message: Mapping[str, Any], delay: timedelta = timedelta()) -> None:
        """Queues a message that becomes visible after `delay`."""


class CommandSender(Protocol):
    """Sends cloud-to-device commands."""

    async def send(self, command: RenewCertificate, expires: datetime) -> None:
        """Sends once, without hidden retries. Raises: CommandRefused, Throttled."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A device's identity in the hub's registry. `document` is the raw JSON, whole, as read."""

    device_id: str
    status: Literal["enabled", "disabled"]
    status_reason: str
    connected: bool
    etag: str
    document: Mapping[str, Any]


class Hub(Protocol):
    """The identity registry and the twins of an IoT Hub."""

    async def get_identity(self, device_id: str) -> Identity | None:
        """The identity, or None where the hub does not know the device."""

    async def set_status(self, identity: Identity, status: Literal["enabled", "disabled"], reason: str) -> Identity:
        """Changes status and statusReason, puts all the rest back as read, under If-Match.

        Raises: Conflict, NotFound.
        """

    async def purge_commands(self, device_id: str) -> int:
        """Removes all messages that wait for the device, whoever sent them; how many they were."""

    async def get_twin(self, device_id: str) -> Mapping[str, Any] | None:
        """The whole twin as IoT Hub's REST API gives it, or None."""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """An individual enrollment. mark: ours, on one that was made for a block ("" on all others).

    attestation: `x509`, `symmetricKey` or `tpm`. `document` is the raw JSON, whole, as read.
    """

    registration_id: str
    status: Before
    attestation: str
    etag: str
    mark: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a device shows to DPS, as a block must name it.

    x509: its onboarding certificate, of which one or two may be known (`leaves`, PEM). symmetricKey: the key that its
    enrollment group (`group`) derives from its registration id. unknown: a placeholder that nobody can show.
    """

    kind: Literal["x509", "symmetricKey", "unknown"]
    leaves: tuple[str, ...] = ()
    group: str = ""


class Provisioning(Protocol):
    """The Device Provisioning Service's enrollments. A change meets only what is still as it was read."""

    async def group_attestation(self, enrollment_group: str) -> Literal["x509", "symmetricKey"] | None:
        """How devices of the group prove themselves, or None where there is no such group."""

    async def enrollment_group_of(self, registration_id: str) -> str | None:
        """The enrollment group that the registration came through, or None where DPS has no registration."""

    async def enrollment(self, registration_id: str) -> Enrollment | None:
        """The individual enrollment of the registration id, or None."""

    async def create_block(self, registration_id: str, credential: Credential, mark: str) -> Enrollment:
        """A disabled individual enrollment, which wins over the group. Raises: Conflict where one stands there."""

    async def rewrite_block(self, block: Enrollment, credential: Credential, mark: str) -> Enrollment:
        """A block of ours, made anew in its place. Raises: Conflict."""

    async def set_enrollment_status(self, enrollment: Enrollment, status: Before) -> Enrollment:
        """The same enrollment, enabled or disabled; its attestation mechanism survives. Raises: Conflict."""

    async def remove(self, enrollment: Enrollment) -> None:
        """Deletes it. Raises: Conflict where it has changed; content where there is none."""

    async def is_blocked(self, registration_id: str) -> bool:
        """Whether a disabled individual enrollment stands for the registration id."""


@dataclass(frozen=True, slots=True)
class RegistryDevice:
    """A device in the ADR namespace. name: of its resource, which may differ from the device id."""

    name: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class RevocationOutcome:
    """How a revocation stands. failure: ADR's words ("" where it succeeded)."""

    is_done: bool
    failure: str = ""


class DeviceRegistry(Protocol):
    """The devices of an ADR namespace."""

    async def find(self, device_id: str) -> RegistryDevice | None:
        """The device, or None where the namespace does not know it."""

    async def set_enabled(self, device: RegistryDevice, *, enabled: bool) -> None:
        """Enables or disables the device, and returns when that is so."""

    async def revoke(self, device: RegistryDevice) -> str:
        """Begins to revoke all of its certificates. Where ADR tells how that stands; "" where it is done."""

    async def outcome(self, monitor: str) -> RevocationOutcome:
        """How a revocation stands that was begun."""


class CircumstancesNow(Protocol):
    """What rules beyond one device."""

    async def current(self) -> Circumstances:
        """As it is now."""


class Leaves(Protocol):
    """Onboarding leaves that inventories have."""

    async def of(self, registration_ids: Iterable[str]) -> Mapping[str, Leaf]:
        """The leaves of those registration ids that have one."""


class TrustedIssuersNow(Protocol):
    """The issuing CAs whose certificates the hub accepts."""

    async def current(self) -> tuple[str, ...]:
        """PEM of each."""


class DeadLetters(Protocol):
    """Where unreadable events wait for a person: blob `dead-letters/{hub}/{partition}/{sequence}`."""

    async def keep(self, envelope: Envelope, reason: str) -> None:
        """Stores the original bytes and properties with the reason; storing the same event again changes nothing."""
