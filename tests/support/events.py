"""Events as IoT Hub and DPS write them, for tests."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.fakes import NOON

from fleetcert.certificates import CertificateAuthority, LeafProfile, pem_chain
from shared.contracts import format_instant
from shared.domain.envelope import Envelope

DAY = timedelta(days=1)
_CLIENT = LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH])


def _issuing_ca() -> CertificateAuthority:
    key = ec.generate_private_key(ec.SECP384R1())
    return CertificateAuthority.create_root("issuing CA", key, not_before=NOON - 900 * DAY, not_after=NOON + 900 * DAY)


_CA = _issuing_ca()
ISSUER = _CA.certificate
STRANGER = _issuing_ca()
"""A CA of the same name that nobody trusts."""


def device_pem(
    common_name: str,
    valid_from: datetime = NOON,
    lifetime: timedelta = 30 * DAY,
    issuer: CertificateAuthority = _CA,
) -> str:
    """An operational certificate for tests, as PEM."""
    key = ec.generate_private_key(ec.SECP384R1())
    leaf = issuer.issue_leaf(
        common_name, key.public_key(), _CLIENT, not_before=valid_from, not_after=valid_from + lifetime
    )
    return pem_chain([leaf]).decode()


@cache
def onboarding_pem(device_id: str) -> str:
    """A device's onboarding certificate: the same one at every call."""
    return device_pem(device_id)


@cache
def twisted_pem(device_id: str, where: str) -> str:
    """A certificate that is loaded, or nearly, and fails at one place: subject, issuer, version or key."""
    before, after = {
        "subject": (b"\x0c" + bytes([len(device_id)]) + device_id.encode(), b"\xff"),
        "issuer": (b"issuing CA", b"\xff"),
        "version": (b"\xa0\x03\x02\x01\x02", b"\x04"),
        "key": (bytes.fromhex("06052b81040022"), b"\x7f"),  # the curve's identifier
    }[where]
    der = ssl.PEM_cert_to_DER_cert(device_pem(device_id))
    assert der.count(before) == 1
    return ssl.DER_cert_to_PEM_cert(der.replace(before, before[: -len(after)] + after))


def claim(
    valid_from: datetime = NOON,
    lifetime: timedelta = 30 * DAY,
    thumbprint: str | None = "aa" * 32,
    pem: str | None = None,
) -> dict[str, Any]:
    """A whole certificate claim."""
    return {
        "validFrom": format_instant(valid_from),
        "validUntil": format_instant(valid_from + lifetime),
        "thumbprint": thumbprint,
        "serialNumber": None,
        "issuer": None,
        "pem": pem,
    }


def twin_event(
    reported: dict[str, Any],
    *,
    version: int = 2,
    sequence: int = 1,
    device_id: str = "dev-1",
    hub: str = "hub-1",
    at: datetime = NOON,
    updated_at: datetime | None = None,
    operation: str = "updateTwin",
) -> Envelope:
    """A twin change as IoT Hub routes it."""
    metadata = {"$lastUpdated": format_instant(updated_at or at)}
    body = {
        "version": version + 1,
        "properties": {"reported": {**reported, "$version": version, "$metadata": metadata}},
    }
    return hub_event(body, "twinChangeEvents", operation, sequence=sequence, device_id=device_id, hub=hub, at=at)


def lifecycle_event(
    operation: str,
    *,
    sequence: int = 1,
    device_id: str = "dev-1",
    hub: str = "hub-1",
    at: datetime = NOON,
) -> Envelope:
    """createDeviceIdentity or deleteDeviceIdentity as IoT Hub routes it."""
    return hub_event(
        {"deviceId": device_id, "version": 2},
        "deviceLifecycleEvents",
        operation,
        sequence=sequence,
        device_id=device_id,
        hub=hub,
        at=at,
    )


def hub_event(
    body: object,
    source: str,
    operation: str,
    *,
    sequence: int = 1,
    device_id: str = "dev-1",
    hub: str = "hub-1",
    at: datetime = NOON,
) -> Envelope:
    """Any routed event."""
    return Envelope(
        hub="iot-events",
        partition="0",
        sequence_number=sequence,
        enqueued_at=at,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        properties={
            "deviceId": device_id,
            "hubName": hub,
            "opType": operation,
            "operationTimestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        },
        system={"iothub-message-source": source, "iothub-connection-device-id": device_id},
    )


def dps_record(device_id: str = "dev-1", result: str = "Success", at: datetime = NOON) -> dict[str, Any]:
    """A record of DPS's DeviceOperations log."""
    return {
        "time": format_instant(at),
        "category": "DeviceOperations",
        "operationName": "AttestationAttempt",
        "resultType": result,
        "properties": json.dumps({"id": device_id, "type": "Registration", "protocol": "Http"}),
    }


def dps_event(body: object, *, sequence: int = 1, at: datetime = NOON) -> Envelope:
    """An event of the DPS log."""
    return Envelope("dps-events", "0", sequence, at, json.dumps(body).encode(), {}, {})
