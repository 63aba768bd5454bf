"""What the `data` of each alert holds: texts or nulls. A receiver ignores members that it does not know."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.states import BlockState, Evidence

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339")]
Count = Annotated[str, Meta(pattern="^[0-9]+$", description="a whole number")]


class CertificateData(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device and its operational certificate. thumbprint: SHA-256 in hex, null where it is not known."""

    device_id: str
    thumbprint: str | None
    valid_from: Instant
    valid_until: Instant
    evidence: Evidence


class CertificateIssued(CertificateData, frozen=True, kw_only=True, rename="camel"):
    """A device reported its first certificate."""


class CertificateRenewed(CertificateData, frozen=True, kw_only=True, rename="camel"):
    """A device reported a new certificate."""


class CertificateRenewalDue(CertificateData, frozen=True, kw_only=True, rename="camel"):
    """A device came into its renewal window, at its own place in it."""

    level: Literal["due"]


class CertificateRenewalOverdue(CertificateData, frozen=True, kw_only=True, rename="camel"):
    """Half of the window has passed (`warning`), or a tenth is left (`critical`). attempts: commands so far."""

    level: Literal["warning", "critical"]
    attempts: Count


class CertificateExpired(CertificateData, frozen=True, kw_only=True, rename="camel"):
    """The certificate has ended; the device must come back through DPS. attempts: commands that it was sent."""

    level: Literal["expired"]
    attempts: Count


class CertificateEvidenceMismatch(Struct, frozen=True, kw_only=True, rename="camel"):
    """A claim contradicts what is known; once per certificate.

    mismatch: what contradicts what, in words. The other members are of the certificate, where one is known.
    """

    device_id: str
    mismatch: str
    thumbprint: str | UnsetType | None = UNSET
    valid_from: Instant | UnsetType = UNSET
    valid_until: Instant | UnsetType = UNSET
    evidence: Evidence | UnsetType = UNSET


class CertificateIssuanceUnconfirmed(CertificateData, frozen=True, kw_only=True, rename="camel"):
    """A registration should have issued a certificate, and none was reported in time."""

    level: Literal["unconfirmed"]


class DeviceDisabled(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device was disabled at the hub and blocked at DPS. operation_id: of a bulk request."""

    device_id: str
    actor: str
    actor_object_id: str
    reason: str
    block: BlockState | None
    operation_id: str | None


class DeviceEnabled(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device was let in again. identity, enrollment, registry: what became of a place that was not restored."""

    device_id: str
    actor: str
    actor_object_id: str
    reason: str
    identity: str | None
    enrollment: str | None
    registry: str | None


class DeviceRevoked(Struct, frozen=True, kw_only=True, rename="camel"):
    """Every certificate that the device was issued until now is worthless. thumbprint: of the one that was known."""

    device_id: str
    actor: str
    actor_object_id: str
    reason: str
    thumbprint: str | None


class DeviceContainmentUnverified(Struct, frozen=True, kw_only=True, rename="camel"):
    """It is not certain that a device is shut out, or it was seen where it must not be. reason: why, in words.

    block: how sure the block at DPS is (`blocked-unverified`), or what reconciling found of it (`kept`, `removed`).
    connected_at, seen_at, hub_disabled_at: where it was seen, and since when that should not be.
    """

    device_id: str
    reason: str
    block: Literal["blocked-unverified", "kept", "removed"] | UnsetType = UNSET
    connected_at: Instant | UnsetType = UNSET
    seen_at: Instant | UnsetType = UNSET
    hub_disabled_at: Instant | UnsetType = UNSET


class DeviceBlockedRegistrationAttempt(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device that is shut out tried to register, once per device and hour. result: what DPS logged."""

    device_id: str
    result: str


class DeviceRegistrationFailed(Struct, frozen=True, kw_only=True, rename="camel"):
    """Registrations of ids that nobody knows failed in an hour. ids: the first of them, as a JSON array."""

    hour: Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}$", description="UTC")]
    count: Count
    ids: str


class OnboardingExpiring(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device's onboarding credential ends, or has ended. level: `30d`, `7d`, ..., `expired`."""

    device_id: str
    level: str
    thumbprint: str | None
    valid_until: Instant | None


class IssuerData(Struct, frozen=True, kw_only=True, rename="camel"):
    """A CA certificate. listed_at: where; policy: the credential policy that it signs for, null where there is none."""

    thumbprint: str
    subject: str
    name: str
    listed_at: Literal["hub", "dps", "enrollment-group"]
    not_after: Instant
    policy: str | None


class IssuerExpiring(IssuerData, frozen=True, kw_only=True, rename="camel"):
    """A CA certificate of the hub or of DPS ends, or has ended. level: `365d`, ..., `expired`."""

    level: str


class IssuerRotated(IssuerData, frozen=True, kw_only=True, rename="camel"):
    """A CA certificate was replaced (`rotated`: still trusted), or is listed no more (`gone`: not trusted)."""

    state: Literal["rotated", "gone"]
    successor: str | None


class FleetDigest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Many alerts of a type at once. device_ids: the first 100, parted by spaces, which no id holds."""

    alert_type: str
    count: Count
    device_ids: str


class FleetSweepAtCapacity(Struct, frozen=True, kw_only=True, rename="camel"):
    """For 15 minutes the budget has been too small for what is due; once an hour. waiting: commands over the budget."""

    since: Instant
    waiting: Count
    commands: Count
    worst_lag_seconds: Count


class FleetRecordingStalled(Struct, frozen=True, kw_only=True, rename="camel"):
    """Events wait for more than 5 minutes; once per event hub and hour.

    sequence_number: of the oldest event that was read late, or of the last one that was read at all (-1: none was).
    waiting: events behind that, where the app looked at the event hub itself.
    """

    event_hub: str
    partition: str
    sequence_number: Annotated[str, Meta(pattern="^-?[0-9]+$")]
    age_seconds: Count
    waiting: Count | UnsetType = UNSET


class FleetDeadLetterGrowing(Struct, frozen=True, kw_only=True, rename="camel"):
    """There are more dead letters than at the last look."""

    container: str
    count: Count
    before: Count


class FleetPoisonGrowing(Struct, frozen=True, kw_only=True, rename="camel"):
    """A poison queue holds more than at the last look."""

    queue: str
    count: Count
    before: Count
