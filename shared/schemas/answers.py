"""What callers get: devices and pages of devices, in camelCase, instants as RFC 3339 in UTC."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from shared.contracts import format_instant
from shared.domain.keys import EXPIRES
from shared.schemas.requests import Malformed

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.domain import record
    from shared.services.devices import DeviceLine, Page

_ENCODER: Final = msgspec.json.Encoder()


class CertificateAnswer(Struct, frozen=True, rename="camel"):
    """An operational certificate, and how well it is known."""

    valid_from: str
    valid_until: str
    evidence: str
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


class ContainmentAnswer(Struct, frozen=True, rename="camel"):
    """How far the device is shut out; each instant is that of a finished step."""

    requested_by: str
    requested_at: str
    reason: str
    hub_disabled_at: str | None
    block: str | None
    disconnected_at: str | None
    refused_at: str | None
    is_verified: bool


class DeviceAnswer(Struct, frozen=True, rename="camel"):
    """A device."""

    device_id: str
    registration_id: str
    hub: str
    state: str
    reason: str
    enrollment_group: str | None
    tags: dict[str, str]
    certificate: CertificateAnswer | None
    onboarding: OnboardingAnswer | None
    command: CommandAnswer | None
    containment: ContainmentAnswer | None
    attempts: int
    first_seen: str
    updated_at: str
    next_deadline: str | None


class DeviceLineAnswer(Struct, frozen=True, rename="camel"):
    """A device in a list."""

    device_id: str
    state: str
    reason: str
    hub: str
    valid_until: str | None
    thumbprint: str | None
    evidence: str | None


class PageAnswer(Struct, frozen=True, rename="camel"):
    """Devices by expiry, the earliest first. cursor: asks for the next page; null on the last."""

    devices: list[DeviceLineAnswer]
    cursor: str | None


def encode(answer: Struct) -> bytes:
    """The answer as JSON."""
    return _ENCODER.encode(answer)


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
        attempts=device.attempts,
        first_seen=format_instant(device.first_seen),
        updated_at=format_instant(device.updated_at),
        next_deadline=_instant(device.next_deadline),
    )


def page_answer(page: Page) -> PageAnswer:
    """A page as callers see it; its cursor is opaque to them."""
    cursor = base64.urlsafe_b64encode(page.cursor.encode()).decode() if page.cursor else None
    return PageAnswer([_line(line) for line in page.devices], cursor)


def read_cursor(text: str | None) -> str | None:
    """The place behind a cursor that a page gave. Raises: Malformed, so that no other rows can be reached by it."""
    if text is None:
        return None
    try:
        key = base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as problem:
        raise Malformed("the cursor is not one that a page gave") from problem
    if not key.startswith(EXPIRES):
        raise Malformed("the cursor is not one that a page gave")
    return key


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
        hub_disabled_at=_instant(containment.hub_disabled_at),
        block=containment.block,
        disconnected_at=_instant(containment.disconnected_at),
        refused_at=_instant(containment.refused_at),
        is_verified=containment.is_verified,
    )


def _line(line: DeviceLine) -> DeviceLineAnswer:
    return DeviceLineAnswer(
        line.device_id, line.state, line.reason, line.hub, line.valid_until, line.thumbprint, line.evidence
    )


def _instant(instant: datetime | None) -> str | None:
    return format_instant(instant) if instant else None
