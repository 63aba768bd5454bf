"""From an envelope to what it says. Nothing here trusts its input: whatever is not understood is a BadEvent.

Shapes: Azure docs, iot-hub-non-telemetry-event-schema (twin changes, lifecycle) and monitor-iot-dps-reference (the
registration log, whose form in an event hub is not documented: both likely forms are read).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from shared.contracts import CERTIFICATE_PROPERTY, MAX_PEM_BYTES, ONBOARDING_PROPERTY, parse_instant
from shared.domain.envelope import Envelope
from shared.domain.events import (
    Claim,
    DeviceRegistered,
    DomainEvent,
    IdentityCreated,
    IdentityDeleted,
    OnboardingClaim,
    RegistrationFailed,
    TagsChanged,
    TwinReported,
    TwinUnclear,
)
from shared.domain.members import an_object, instant, json_object, optional_text, text
from shared.domain.tagging import flatten
from shared.errors import BadEvent

_CERTIFICATE, _ONBOARDING, _TAGS = (
    f'"{name}"'.encode() for name in (CERTIFICATE_PROPERTY, ONBOARDING_PROPERTY, "tags")
)
_CERTIFICATE_MEMBERS: Final = frozenset({"thumbprint", "serialNumber", "issuer", "pem"})
_LIFECYCLE: Final[Mapping[str, type[IdentityCreated | IdentityDeleted]]] = {
    "createDeviceIdentity": IdentityCreated,
    "deleteDeviceIdentity": IdentityDeleted,
}


def parse_hub_event(envelope: Envelope) -> list[DomainEvent]:
    """What an event of IoT Hub's routes says of certificates, tags and identities; often nothing.

    Raises: BadEvent.
    """
    source = envelope.system.get("iothub-message-source")
    if source == "twinChangeEvents":
        return _parse_twin_change(envelope)
    if source == "deviceLifecycleEvents":
        return _parse_lifecycle(envelope)
    return []


def parse_dps_event(envelope: Envelope) -> list[DomainEvent]:
    """The registrations in an event of DPS's resource log: `{"records": [...]}` or a single record.

    Raises: BadEvent.
    """
    document = json_object(envelope.body)
    records = document.get("records", [document])
    if not isinstance(records, list):
        raise BadEvent("records is no list")
    return list(_registrations(envelope, records))


def read_twin(twin: Mapping[str, Any], *, device_id: str, hub: str, event_id: str, at: datetime) -> TwinReported:
    """A whole twin, as IoT Hub's REST API gives it, in the words of an event.

    Raises: BadEvent.
    """
    return _whole_twin(twin, _Origin(event_id, at, device_id, hub))


def read_tags(twin: Mapping[str, Any], *, device_id: str, hub: str, event_id: str, at: datetime) -> TagsChanged:
    """The tags of a whole twin, in the words of an event.

    Raises: BadEvent.
    """
    return _tags(twin, _Origin(event_id, at, device_id, hub), is_whole=True)


class _Origin:
    """Where a twin's news comes from."""

    def __init__(self, event_id: str, enqueued_at: datetime, device_id: str, hub: str) -> None:
        self.event_id = event_id
        self.enqueued_at = enqueued_at
        self.device_id = device_id
        self.hub = hub

    @classmethod
    def of(cls, envelope: Envelope) -> _Origin:
        device_id = text(envelope.properties, "deviceId")
        return cls(envelope.event_id, envelope.enqueued_at, device_id, text(envelope.properties, "hubName"))


def _parse_twin_change(envelope: Envelope) -> list[DomainEvent]:
    body = envelope.body
    if not (_CERTIFICATE in body or _ONBOARDING in body or _TAGS in body) or "moduleId" in envelope.properties:
        return []  # most twin changes are about something else: they cost nothing, not even the parsing
    document = json_object(body)
    if envelope.properties.get("opType") == "replaceTwin":
        origin = _Origin.of(envelope)
        return [_whole_twin(document, origin), _tags(document, origin, is_whole=True)]
    reported = _member(document.get("properties", {}), "reported")
    events: list[DomainEvent] = []
    if CERTIFICATE_PROPERTY in reported or ONBOARDING_PROPERTY in reported:
        events.append(_patch(reported, _Origin.of(envelope)))
    if "tags" in document:
        events.append(_tags(document, _Origin.of(envelope), is_whole=False))
    return events


def _whole_twin(twin: Mapping[str, Any], origin: _Origin) -> TwinReported:
    reported = _member(twin.get("properties"), "reported")
    return _twin_reported(reported, origin, removed=reported.get(CERTIFICATE_PROPERTY) is None)


def _patch(reported: Mapping[str, Any], origin: _Origin) -> TwinReported | TwinUnclear:
    claim = reported.get(CERTIFICATE_PROPERTY)
    if claim is not None and not _is_whole(an_object(claim, CERTIFICATE_PROPERTY)):
        return TwinUnclear(
            event_id=origin.event_id,
            enqueued_at=origin.enqueued_at,
            device_id=origin.device_id,
            hub=origin.hub,
            version=_version(reported),
        )
    return _twin_reported(reported, origin, removed=CERTIFICATE_PROPERTY in reported and claim is None)


def _tags(twin: Mapping[str, Any], origin: _Origin, *, is_whole: bool) -> TagsChanged:
    version = twin.get("version")
    return TagsChanged(
        event_id=origin.event_id,
        enqueued_at=origin.enqueued_at,
        device_id=origin.device_id,
        hub=origin.hub,
        twin_version=version if isinstance(version, int) and not isinstance(version, bool) else 0,
        tags=flatten(an_object(twin.get("tags") or {}, "tags")),
        is_whole=is_whole,
    )


def _twin_reported(reported: Mapping[str, Any], origin: _Origin, *, removed: bool) -> TwinReported:
    claim = reported.get(CERTIFICATE_PROPERTY)
    return TwinReported(
        event_id=origin.event_id,
        enqueued_at=origin.enqueued_at,
        device_id=origin.device_id,
        hub=origin.hub,
        version=_version(reported),
        updated_at=_last_updated(reported, origin.enqueued_at),
        certificate=None if claim is None else _claim(an_object(claim, CERTIFICATE_PROPERTY)),
        removed=removed,
        onboarding=_onboarding(reported.get(ONBOARDING_PROPERTY)),
    )


def _is_whole(claim: Mapping[str, Any]) -> bool:
    """Whether a merge patch leaves nothing of the certificate before it."""
    return {"validFrom", "validUntil"} | _CERTIFICATE_MEMBERS <= claim.keys()


def _claim(claim: Mapping[str, Any]) -> Claim:
    pem = optional_text(claim, "pem", MAX_PEM_BYTES)
    valid_from, valid_until = instant(claim, "validFrom"), instant(claim, "validUntil")
    if valid_until <= valid_from:
        raise BadEvent("certificate.validUntil is not after validFrom")
    return Claim(
        valid_from=valid_from,
        valid_until=valid_until,
        thumbprint=optional_text(claim, "thumbprint"),
        serial_number=optional_text(claim, "serialNumber"),
        issuer=optional_text(claim, "issuer"),
        pem=pem,
    )


def _onboarding(claim: object) -> OnboardingClaim | None:
    if claim is None:
        return None
    members = an_object(claim, ONBOARDING_PROPERTY)
    return OnboardingClaim(
        thumbprint=optional_text(members, "thumbprint"),
        valid_until=instant(members, "validUntil") if members.get("validUntil") is not None else None,
        pem=optional_text(members, "pem", MAX_PEM_BYTES),
    )


def _parse_lifecycle(envelope: Envelope) -> list[DomainEvent]:
    kind = _LIFECYCLE.get(str(envelope.properties.get("opType")))
    if kind is None or "moduleId" in envelope.properties:
        return []
    origin = _Origin.of(envelope)
    event = kind(
        event_id=origin.event_id,
        enqueued_at=origin.enqueued_at,
        device_id=origin.device_id,
        hub=origin.hub,
        at=instant(envelope.properties, "operationTimestamp"),
    )
    return [event]


def _registrations(envelope: Envelope, records: list[Any]) -> Iterator[DomainEvent]:
    for number, item in enumerate(records):
        record = an_object(item, "record")
        if record.get("category", record.get("Category")) != "DeviceOperations":
            continue
        yield _registration(envelope, record, f"{envelope.event_id}/{number}")


def _registration(envelope: Envelope, record: Mapping[str, Any], event_id: str) -> DomainEvent:
    properties = record.get("properties", record.get("properties_s"))
    details = json_object(properties.encode()) if isinstance(properties, str) else an_object(properties, "properties")
    registration_id = text(details, "id")
    result = str(record.get("resultType", record.get("ResultType", "")))
    at = envelope.enqueued_at
    attempted_at = _attempted_at(record, at)
    if result == "Success":
        return DeviceRegistered(
            event_id=event_id, enqueued_at=at, device_id=registration_id, at=at, attempted_at=attempted_at
        )
    return RegistrationFailed(
        event_id=event_id, enqueued_at=at, device_id=registration_id, at=at, attempted_at=attempted_at, result=result
    )


def _attempted_at(record: Mapping[str, Any], enqueued_at: datetime) -> datetime:
    """The log's own time; the shape in which it is streamed is not documented, so that it may be missing."""
    told = record.get("time", record.get("TimeGenerated"))
    try:
        return min(parse_instant(str(told)), enqueued_at)
    except ValueError:
        return enqueued_at


def _member(properties: object, name: str) -> Mapping[str, Any]:
    return an_object(an_object(properties, "properties").get(name, {}), name)


def _version(reported: Mapping[str, Any]) -> int:
    version = reported.get("$version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise BadEvent("reported.$version is missing or no number")
    return version


def _last_updated(reported: Mapping[str, Any], otherwise: datetime) -> datetime:
    metadata = reported.get("$metadata")
    if not isinstance(metadata, Mapping) or "$lastUpdated" not in metadata:
        return otherwise
    return instant(metadata, "$lastUpdated")
