"""One example of each alert, as a receiver gets it: data by their models, in the CloudEvent around them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.contracts import alert_schema
from shared.domain.states import BlockState, Evidence
from shared.schemas import alert_data as data
from shared.schemas.alerts import MODELS

_HUB: Final = "/subscriptions/0f.../resourceGroups/iot/providers/Microsoft.Devices/IotHubs/contoso-hub"
_AT: Final = "2026-11-23T10:15:00Z"
_THUMBPRINT: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ISSUER: Final = "3c9909afec25354d551dae21590bb26e38d53f2173b8d3dc3eee4c047e7ab1c1"
_CERTIFICATE: Final[dict[str, Any]] = {
    "device_id": "pump-0042",
    "thumbprint": _THUMBPRINT,
    "valid_from": "2026-11-01T08:00:00Z",
    "valid_until": "2026-12-01T08:00:00Z",
    "evidence": Evidence.VERIFIED,
}
_BY: Final[dict[str, Any]] = {
    "device_id": "pump-0042",
    "actor": "ann@contoso.example",
    "actor_object_id": "0b8f6a8e-5c5b-4f4e-9a57-1f6f7b2e9a11",
    "reason": "stolen",
}
_CA: Final[dict[str, Any]] = {
    "thumbprint": _ISSUER,
    "subject": "CN=policy-30d,O=contoso",
    "name": "policy-30d-ca",
    "listed_at": "hub",
    "not_after": "2027-11-23T00:00:00Z",
    "policy": "policy-30d",
}

_DATA: Final[tuple[Struct, ...]] = (
    data.CertificateIssued(**_CERTIFICATE),
    data.CertificateRenewed(**_CERTIFICATE),
    data.CertificateRenewalDue(**_CERTIFICATE, level="due"),
    data.CertificateRenewalOverdue(**_CERTIFICATE, level="warning", attempts="3"),
    data.CertificateExpired(**_CERTIFICATE, level="expired", attempts="7"),
    data.CertificateEvidenceMismatch(
        **_CERTIFICATE, mismatch="validUntil was 2026-12-01T08:00:00+00:00, now 2036-12-01T08:00:00+00:00"
    ),
    data.CertificateIssuanceUnconfirmed(**{**_CERTIFICATE, "evidence": Evidence.INFERRED}, level="unconfirmed"),
    data.DeviceDisabled(**_BY, block=BlockState.BLOCKED, operation_id=None),
    data.DeviceEnabled(
        **_BY, identity=None, enrollment="it was changed by somebody else and left alone", registry=None
    ),
    data.DeviceRevoked(**_BY, thumbprint=_THUMBPRINT),
    data.DeviceContainmentUnverified(
        device_id="pump-0042", reason="the device is connected again", connected_at="2026-11-23T10:14:58Z"
    ),
    data.DeviceBlockedRegistrationAttempt(device_id="pump-0042", result="Failure"),
    data.DeviceRegistrationFailed(hour="2026-11-23T09", count="12", ids='["pump-9999","toaster"]'),
    data.OnboardingExpiring(
        device_id="pump-0042", level="30d", thumbprint=_THUMBPRINT, valid_until="2026-12-23T00:00:00Z"
    ),
    data.IssuerExpiring(**_CA, level="365d"),
    data.IssuerRotated(**_CA, state="rotated", successor=_THUMBPRINT),
    data.FleetDigest(alert_type="Fleetcert.Certificate.Expired", count="240", device_ids="pump-0001 pump-0002"),
    data.FleetSweepAtCapacity(since="2026-11-23T10:00:00+00:00", waiting="310", commands="50", worst_lag_seconds="930"),
    data.FleetRecordingStalled(
        event_hub="iot-events", partition="3", sequence_number="48151", age_seconds="420", waiting="162"
    ),
    data.FleetDeadLetterGrowing(container="dead-letters", count="3", before="2"),
    data.FleetPoisonGrowing(queue="renewal-commands-poison", count="1", before="0"),
)
_BY_MODEL: Final = {type(example): example for example in _DATA}


def data_of(kind: str) -> dict[str, str | None]:
    """The data of the example of a type."""
    plain: dict[str, str | None] = msgspec.json.decode(msgspec.json.encode(_BY_MODEL[MODELS[kind]]))
    return plain


def event_of(kind: str) -> dict[str, Any]:
    """The example of a type, as Event Grid delivers it."""
    about = data_of(kind)
    return {
        "specversion": "1.0",
        "id": "7c0d6f0e-6c67-5f0a-8f3c-0d9a5b7e2f4a",
        "source": _HUB,
        "type": kind,
        "subject": _subject(about),
        "time": _AT,
        "datacontenttype": "application/json",
        "dataschema": alert_schema(kind),
        "data": about,
    }


def _subject(about: dict[str, str | None]) -> str:
    if "deviceId" in about:
        return f"devices/{about['deviceId']}"
    return f"issuers/{about['thumbprint']}" if "listedAt" in about else "fleet"
