"""Fakes behind the services' ports: they keep what they are given, and fail when they are told to."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from shared.contracts import RenewCertificate
from shared.domain.alerts import Alert
from shared.domain.envelope import Envelope
from shared.domain.record import Before
from shared.errors import Conflict, EnrollmentRefused, NotFound
from shared.services.ports import Credential, Enrollment, Identity, RegistryDevice, RevocationOutcome, Row, Write

PLAIN = (str, int, bool, datetime)
NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, step: timedelta) -> None:
        self._now += step


@dataclass
class FakeTable:
    """A table in memory with ETags and transactions; `faults` are raised by the next commits, one each."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    faults: list[Exception | None] = field(default_factory=list)
    commits: int = 0
    reads: int = 0
    before_commit: Any = None
    _etags: Any = field(default_factory=lambda: itertools.count(1))

    async def get(self, partition: str, key: str) -> Row | None:
        return self.rows.get((partition, key))

    async def get_many(self, partition: str, keys: Sequence[str]) -> dict[str, Row]:
        self.reads += len(keys)
        return {key: row for key in keys if (row := self.rows.get((partition, key)))}

    async def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        found = sorted(k for p, k in self.rows if p == partition and low <= k < high)
        for key in found[:limit]:
            yield self.rows[partition, key]

    async def commit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
        assert 1 <= len(writes) <= 100
        assert len({w.row.key for w in writes}) == len(writes), "a transaction touches a row once"
        if self.before_commit:
            hook, self.before_commit = self.before_commit, None
            await hook()
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        for write in writes:
            self._check(write)
        self.commits += 1
        for write in writes:
            place = (write.row.partition, write.row.key)
            if write.kind == "delete":
                self.rows.pop(place, None)
            else:
                self.rows[place] = replace(write.row, etag=f'W/"{next(self._etags)}"')
        return {w.row.key: str(self.rows[w.row.partition, w.row.key].etag) for w in writes if w.kind != "delete"}

    def _check(self, write: Write) -> None:
        odd = {name: value for name, value in write.row.values.items() if type(value) not in PLAIN}
        assert not odd, f"a table holds plain values alone: {odd}"
        assert len(write.row.key) <= 512, f"Azure refuses a key of {len(write.row.key)} characters"
        assert not set(write.row.key) & set("/\\#?"), f"Azure refuses the key {write.row.key!r}"
        present = self.rows.get((write.row.partition, write.row.key))
        if write.kind == "insert" and present:
            raise Conflict(write.row.key)
        if write.kind == "replace" and (present is None or present.etag != write.row.etag):
            raise Conflict(write.row.key)

    def keys(self, prefix: str) -> list[str]:
        """All row keys that begin so, in order."""
        return sorted(k for _, k in self.rows if k.startswith(prefix))


def _take(_: str, __: Mapping[str, Any]) -> None:
    """Whatever is told is taken: a bench measures the app, not its checks."""


@dataclass
class FakeAlerts:
    """An Event Grid topic that remembers. check: looks at each alert; tests set it to the alerts' schemas."""

    check: ClassVar[Callable[[str, Mapping[str, Any]], None]] = _take

    sent: list[Alert] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def publish(self, alerts: Sequence[Alert]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        for alert in alerts:
            FakeAlerts.check(alert.type, alert.data)
        self.sent.extend(alerts)

    @property
    def types(self) -> list[str]:
        return [alert.type for alert in self.sent]


@dataclass
class FakeQueue:
    """A queue that remembers messages and their delays."""

    messages: list[Mapping[str, Any]] = field(default_factory=list)
    delays: list[timedelta] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def put(self, message: Mapping[str, Any], delay: timedelta = timedelta()) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.messages.append(message)
        self.delays.append(delay)


@dataclass
class FakeSender:
    """IoT Hub's device queues; `answers` are raised, one per send."""

    sent: list[tuple[RenewCertificate, datetime]] = field(default_factory=list)
    answers: list[Exception] = field(default_factory=list)

    async def send(self, command: RenewCertificate, expires: datetime) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.sent.append((command, expires))


@dataclass
class FakeHub:
    """An identity registry with twins. writes: how often an identity was written."""

    identities: dict[str, Identity] = field(default_factory=dict)
    twins: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    reads: int = 0
    writes: int = 0
    faults: list[Exception] = field(default_factory=list)

    def add(
        self,
        device_id: str,
        *,
        connected: bool = False,
        status: Literal["enabled", "disabled"] = "enabled",
        reason: str = "",
    ) -> None:
        self.identities[device_id] = Identity(device_id, status, reason, connected, "1", {"deviceId": device_id})

    def change(self, device_id: str, **changes: Any) -> None:
        """Somebody else writes the identity."""
        known = self.identities[device_id]
        self.identities[device_id] = replace(known, **changes, etag=str(int(known.etag) + 1))

    async def get_identity(self, device_id: str) -> Identity | None:
        return self.identities.get(device_id)

    async def set_status(self, identity: Identity, status: Literal["enabled", "disabled"], reason: str) -> Identity:
        if self.faults:
            raise self.faults.pop(0)
        known = self.identities.get(identity.device_id)
        if known is None:
            raise NotFound("device", identity.device_id)
        if known.etag != identity.etag:
            raise Conflict(identity.device_id)
        self.writes += 1
        connected = known.connected and status == "enabled"
        self.change(identity.device_id, status=status, status_reason=reason, connected=connected)
        return self.identities[identity.device_id]

    async def purge_commands(self, device_id: str) -> int:
        return self.waiting.pop(device_id, 0)

    async def get_twin(self, device_id: str) -> Mapping[str, Any] | None:
        self.reads += 1
        if self.faults:
            raise self.faults.pop(0)
        return self.twins.get(device_id)


@dataclass
class FakeProvisioning:
    """DPS's individual enrollments, by registration id; changes meet the ETag that was read.

    credentials: by which each block attests. refused: credentials' kinds that DPS does not take.
    """

    enrollments: dict[str, Enrollment] = field(default_factory=dict)
    credentials: dict[str, Credential] = field(default_factory=dict)
    groups: dict[str, Literal["x509", "symmetricKey"]] = field(default_factory=lambda: {"fleet": "x509"})
    refused: set[str] = field(default_factory=set)
    faults: list[Exception] = field(default_factory=list)
    _etags: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def blocks(self) -> dict[str, str | None]:
        """What is blocked: registration id -> the certificate by which it is, None where it is by none."""
        leaves = {r: c.leaves[0] for r, c in self.credentials.items() if c.leaves}
        return {r: leaves.get(r) for r, e in self.enrollments.items() if e.status is Before.DISABLED}

    def add(self, registration_id: str, status: Before = Before.ENABLED, keys: str = "its own") -> None:
        """An enrollment of somebody else's."""
        self._put(registration_id, status, "symmetricKey", "", {"keys": keys})

    async def group_attestation(self, enrollment_group: str) -> Literal["x509", "symmetricKey"] | None:
        return self.groups.get(enrollment_group)

    async def enrollment_group_of(self, registration_id: str) -> str | None:
        return "fleet"

    async def enrollment(self, registration_id: str) -> Enrollment | None:
        return self.enrollments.get(registration_id)

    async def create_block(self, registration_id: str, credential: Credential, mark: str) -> Enrollment:
        self._fail()
        if registration_id in self.enrollments:
            raise Conflict(registration_id)
        return self._block(registration_id, credential, mark)

    async def rewrite_block(self, block: Enrollment, credential: Credential, mark: str) -> Enrollment:
        self._meet(block)
        return self._block(block.registration_id, credential, mark)

    async def set_enrollment_status(self, enrollment: Enrollment, status: Before) -> Enrollment:
        known = self._meet(enrollment)
        return self._put(known.registration_id, status, known.attestation, known.mark, known.document)

    async def remove(self, enrollment: Enrollment) -> None:
        if enrollment.registration_id in self.enrollments:
            self._meet(enrollment)
            del self.enrollments[enrollment.registration_id]
            self.credentials.pop(enrollment.registration_id, None)

    async def is_blocked(self, registration_id: str) -> bool:
        return registration_id in self.blocks

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    def _meet(self, enrollment: Enrollment) -> Enrollment:
        self._fail()
        known = self.enrollments.get(enrollment.registration_id)
        if known is None or known.etag != enrollment.etag:
            raise Conflict(enrollment.registration_id)
        return known

    def _block(self, registration_id: str, credential: Credential, mark: str) -> Enrollment:
        if credential.kind in self.refused:
            raise EnrollmentRefused(credential.kind)
        self.credentials[registration_id] = credential
        attestation = "x509" if credential.kind == "x509" else "symmetricKey"
        return self._put(registration_id, Before.DISABLED, attestation, mark, {})

    def _put(
        self, registration_id: str, status: Before, attestation: str, mark: str, document: Mapping[str, Any]
    ) -> Enrollment:
        put = Enrollment(registration_id, status, attestation, f"e{next(self._etags)}", mark, document)
        self.enrollments[registration_id] = put
        return put


@dataclass
class FakeRegistry:
    """The devices of an ADR namespace. revoked: device ids, in order. pending: looks until a revocation is done."""

    devices: dict[str, bool] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    pending: int = 0
    failure: str = ""
    faults: list[Exception] = field(default_factory=list)

    async def find(self, device_id: str) -> RegistryDevice | None:
        enabled = self.devices.get(device_id)
        return RegistryDevice(device_id, enabled) if enabled is not None else None

    async def set_enabled(self, device: RegistryDevice, *, enabled: bool) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.devices[device.name] = enabled

    async def revoke(self, device: RegistryDevice) -> str:
        if self.faults:
            raise self.faults.pop(0)
        self.revoked.append(device.name)
        return f"monitor/{device.name}"

    async def outcome(self, monitor: str) -> RevocationOutcome:
        self.pending -= 1
        return RevocationOutcome(self.pending < 0, self.failure)


@dataclass
class FakeDeadLetters:
    """Dead letters by event id."""

    kept: dict[str, str] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)

    async def keep(self, envelope: Envelope, reason: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.kept[envelope.event_id] = reason
