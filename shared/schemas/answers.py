"""What callers get: devices and pages of devices, in camelCase, instants as RFC 3339 in UTC."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from shared.contracts import format_instant
from shared.domain import record
from shared.domain.keys import EXPIRES
from shared.domain.listing import DeviceLine
from shared.schemas.requests import Malformed

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.services.histories import HistoryLine, HistoryPage
    from shared.services.listing import Page

_ENCODER: Final = msgspec.json.Encoder()


class CertificateAnswer(Struct, frozen=True, rename="camel"):
    """An operational certificate, and how well it is known."""

    valid_from: str
    valid_until: str
    evidence: record.Evidence
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
    block: record.BlockState | None
    disconnected_at: str | None
    refused_at: str | None
    is_verified: bool


class DeviceAnswer(Struct, frozen=True, rename="camel"):
    """A device."""

    device_id: str
    registration_id: str
    hub: str
    state: record.State
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
    state: record.State
    reason: str
    hub: str
    enrollment_group: str | None
    tags: dict[str, str]
    valid_from: str | None
    valid_until: str | None
    thumbprint: str | None
    evidence: record.Evidence | None
    issuer: str | None


class PageAnswer(Struct, frozen=True, rename="camel"):
    """Devices by expiry, the earliest first. cursor: asks for the next page; null on the last.

    partial: a bounded number of devices was looked at and the page is not full; there may be more behind the cursor.
    """

    devices: list[DeviceLineAnswer]
    cursor: str | None
    partial: bool


class ActorAnswer(Struct, frozen=True, rename="camel"):
    """A person or an app by the ids of Entra (empty: not known), or fleetcert itself."""

    name: str
    object_id: str
    app_id: str


class ChangeAnswer(Struct, frozen=True, rename="camel"):
    """One change of a device. details: what it was about, by kind."""

    at: str
    kind: str
    actor: ActorAnswer
    reason: str
    details: dict[str, str]
    event_id: str


class HistoryAnswer(Struct, frozen=True, rename="camel"):
    """Changes of a device, the newest first. cursor: asks for the next page; null on the last."""

    device_id: str
    changes: list[ChangeAnswer]
    cursor: str | None


class HealthAnswer(Struct, frozen=True):
    """All is well."""

    status: Literal["ok"] = "ok"


class DocumentAnswer(Struct, frozen=True):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


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
    return PageAnswer([_line(line) for line in page.devices], opaque(page.cursor), page.is_partial)


def history_answer(device_id: str, page: HistoryPage) -> HistoryAnswer:
    """A page of a device's history."""
    return HistoryAnswer(device_id, [_change(line) for line in page.lines], opaque(page.cursor))


def actor_answer(actor: record.Actor) -> ActorAnswer:
    """Who did it."""
    return ActorAnswer(actor.name, actor.object_id, actor.app_id)


def read_cursor(text: str | UnsetType, begins: str = EXPIRES) -> str | None:
    """The key behind a cursor that a page gave, of rows whose keys begin so.

    Raises: Malformed, so that no other rows can be reached by it.
    """
    if text is UNSET:
        return None
    key = transparent(text)
    if not key.startswith(begins):
        raise Malformed("the cursor is not one that a page gave")
    return key


def opaque(key: str | None) -> str | None:
    """A place in the table as callers get it; none stays none."""
    return base64.urlsafe_b64encode(key.encode()).decode() if key else None


def transparent(text: str) -> str:
    """What `opaque` made opaque. Raises: Malformed."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as problem:
        raise Malformed("the cursor is not one that a page gave") from problem


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
        device_id=line.device_id,
        state=record.State(line.state),
        reason=line.reason,
        hub=line.hub,
        enrollment_group=line.enrollment_group,
        tags=dict(line.tags),
        valid_from=line.valid_from,
        valid_until=line.valid_until,
        thumbprint=line.thumbprint,
        evidence=record.Evidence(line.evidence) if line.evidence else None,
        issuer=line.issuer,
    )


def _change(line: HistoryLine) -> ChangeAnswer:
    details = dict(line.details)
    return ChangeAnswer(
        format_instant(line.at), line.kind, actor_answer(line.actor), line.reason, details, line.event_id
    )


def _instant(instant: datetime | None) -> str | None:
    return format_instant(instant) if instant else None
