"""A device as callers see it, in camelCase, instants as RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from shared.contracts import format_instant
from shared.domain.states import Before, BlockState, Evidence, State

if TYPE_CHECKING:  # for its names alone
    from shared.domain import record


class CertificateAnswer(Struct, frozen=True, rename="camel"):
    """An operational certificate, and how well it is known."""

    valid_from: str
    valid_until: str
    evidence: Evidence
    first_seen: str
    thumbprint: str | None
    serial_number: str | None
    issuer: str | None
    key_algorithm: str | None


class OnboardingAnswer(Struct, frozen=True, rename="camel"):
    """The credential that the device shows to DPS."""

    thumbprint: str | None
    valid_until: str | None


class CommandAnswer(Struct, frozen=True, rename="camel"):
    """The renewal command in flight. sent_at: None while it is queued."""

    id: str
    attempt: int
    reason: str
    sent_at: str | None
    expires_at: str


class ReleaseAnswer(Struct, frozen=True, rename="camel"):
    """How far the device is let in again. outcomes: what became of places that were not simply restored."""

    requested_by: str
    requested_at: str
    reason: str
    registry_restored_at: str | None
    enrollment_restored_at: str | None
    identity_restored_at: str | None
    settles_at: str | None
    outcomes: dict[str, str]


class ContainmentAnswer(Struct, frozen=True, rename="camel"):
    """How far the device is shut out; each instant is that of a finished step.

    begun_at: when it began again, for a device that was seen where it must not be. hub_before, enrollment_before,
    registry_before: what stood at each place; where it was `absent`, there was nothing to disable. disconnected_at: its
    connection was seen gone. refused_at, passed_at: DPS was seen to refuse it, or to let it in although the block
    stood. release: it is being let in again.
    """

    requested_by: str
    requested_at: str
    reason: str
    operation_id: str | None
    begun_at: str | None
    hub_before: Before | None
    hub_disabled_at: str | None
    enrollment_before: Before | None
    block: BlockState | None
    blocked_at: str | None
    purged_at: str | None
    registry_before: Before | None
    registry_disabled_at: str | None
    disconnected_at: str | None
    refused_at: str | None
    passed_at: str | None
    is_verified: bool
    release: ReleaseAnswer | None


class RevocationAnswer(Struct, frozen=True, rename="camel"):
    """How far the device's certificates have been revoked. failure: why they could not be; null where they could."""

    requested_by: str
    requested_at: str
    reason: str
    revoked_at: str | None
    finished_at: str | None
    failure: str | None


class DeviceAnswer(Struct, frozen=True, rename="camel"):
    """A device."""

    device_id: str
    registration_id: str
    hub: str
    state: State
    reason: str
    enrollment_group: str | None
    tags: dict[str, str]
    certificate: CertificateAnswer | None
    onboarding: OnboardingAnswer | None
    command: CommandAnswer | None
    containment: ContainmentAnswer | None
    revocation: RevocationAnswer | None
    attempts: int
    first_seen: str
    updated_at: str
    next_deadline: str | None


def device_answer(device: record.DeviceRecord) -> DeviceAnswer:
    """A record as callers see it."""
    return DeviceAnswer(
        device_id=device.device_id,
        registration_id=device.registration_id,
        hub=device.hub,
        state=device.state,
        reason=device.reason,
        enrollment_group=device.enrollment_group,
        tags=dict(device.tags),
        certificate=_certificate(device.certificate) if device.certificate else None,
        onboarding=_onboarding(device.onboarding) if device.onboarding else None,
        command=_command(device.command) if device.command else None,
        containment=_containment(device.containment) if device.containment else None,
        revocation=_revocation(device.revocation) if device.revocation else None,
        attempts=device.attempts,
        first_seen=format_instant(device.first_seen),
        updated_at=format_instant(device.updated_at),
        next_deadline=_instant(device.next_deadline),
    )


def _certificate(certificate: record.Certificate) -> CertificateAnswer:
    return CertificateAnswer(
        valid_from=format_instant(certificate.valid_from),
        valid_until=format_instant(certificate.valid_until),
        evidence=certificate.evidence,
        first_seen=format_instant(certificate.first_seen),
        thumbprint=certificate.thumbprint,
        serial_number=certificate.serial_number,
        issuer=certificate.issuer,
        key_algorithm=certificate.key_algorithm,
    )


def _onboarding(credential: record.OnboardingCredential) -> OnboardingAnswer:
    return OnboardingAnswer(credential.thumbprint, _instant(credential.valid_until))


def _command(command: record.Command) -> CommandAnswer:
    return CommandAnswer(
        command.id, command.attempt, command.reason, _instant(command.sent_at), format_instant(command.expires_at)
    )


def _containment(containment: record.Containment) -> ContainmentAnswer:
    return ContainmentAnswer(
        requested_by=containment.actor.name,
        requested_at=format_instant(containment.requested_at),
        reason=containment.reason,
        operation_id=containment.operation_id or None,
        begun_at=_instant(containment.begun_at),
        hub_before=containment.identity_before,
        hub_disabled_at=_instant(containment.hub_disabled_at),
        enrollment_before=containment.enrollment_before,
        block=containment.block,
        blocked_at=_instant(containment.blocked_at),
        purged_at=_instant(containment.purged_at),
        registry_before=containment.registry_before,
        registry_disabled_at=_instant(containment.registry_disabled_at),
        disconnected_at=_instant(containment.disconnected_at),
        refused_at=_instant(containment.refused_at),
        passed_at=_instant(containment.passed_at),
        is_verified=containment.is_verified,
        release=_release(containment.release) if containment.release else None,
    )


def _release(release: record.Release) -> ReleaseAnswer:
    return ReleaseAnswer(
        requested_by=release.actor.name,
        requested_at=format_instant(release.requested_at),
        reason=release.reason,
        registry_restored_at=_instant(release.registry_restored_at),
        enrollment_restored_at=_instant(release.enrollment_restored_at),
        identity_restored_at=_instant(release.identity_restored_at),
        settles_at=_instant(release.settles_at),
        outcomes=dict(release.outcomes),
    )


def _revocation(revocation: record.Revocation) -> RevocationAnswer:
    return RevocationAnswer(
        requested_by=revocation.actor.name,
        requested_at=format_instant(revocation.requested_at),
        reason=revocation.reason,
        revoked_at=_instant(revocation.revoked_at),
        finished_at=_instant(revocation.finished_at),
        failure=revocation.failure or None,
    )


def _instant(instant: datetime | None) -> str | None:
    return format_instant(instant) if instant else None
