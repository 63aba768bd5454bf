"""The wire between device, cloud and operators. Standard library only, so that a device can carry this file alone.

Three contracts: what a device reports in its twin, what the cloud sends as a command, and the alerts' types.
Instants travel as RFC 3339 in UTC with a `Z`; thumbprints are SHA-256 in hex.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

RENEW_SCHEMA: Final = "fleetcert.renew/1"
RENEW_COMMAND: Final = "renewCertificate"

CERTIFICATE_PROPERTY: Final = "certificate"
"""The reported property that describes the operational certificate (Azure docs: concept-certificate-renewal)."""
ONBOARDING_PROPERTY: Final = "onboarding"
"""The reported property that describes the onboarding credential."""
RENEWAL_PROPERTY: Final = "renewal"
"""The reported property in which a device says what became of a command: `{commandId, outcome, reason}`."""

MAX_PEM_BYTES: Final = 4096
"""A twin's string value may not be longer (Azure docs: IoT Hub device twins)."""


def format_instant(instant: datetime) -> str:
    """An aware datetime as RFC 3339 in UTC, to the second: `2026-11-23T10:00:00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant as an aware datetime in UTC.

    Azure writes up to seven digits of a second's fraction; a text without an offset is UTC.

    Raises: ValueError where the text is no instant.
    """
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def normal_thumbprint(text: str) -> str:
    """A thumbprint as it is compared: lower-case hex without colons and spaces."""
    return text.replace(":", "").replace(" ", "").lower()


def normal_serial(text: str) -> str:
    """A serial number as it is compared: lower-case hex without colons and leading zeros."""
    return text.replace(":", "").replace(" ", "").lower().lstrip("0") or "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedCertificate:
    """A certificate as a device reports it. A member that it does not give travels as null."""

    valid_from: datetime
    valid_until: datetime
    thumbprint: str | None = None
    serial_number: str | None = None
    issuer: str | None = None
    pem: str | None = None

    def to_wire(self) -> dict[str, str | None]:
        """Every member, so that a merge patch leaves nothing of the certificate before it."""
        return {
            "validFrom": format_instant(self.valid_from),
            "validUntil": format_instant(self.valid_until),
            "thumbprint": self.thumbprint,
            "serialNumber": self.serial_number,
            "issuer": self.issuer,
            "pem": self.pem,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOnboarding:
    """The onboarding credential as a device reports it."""

    thumbprint: str | None = None
    valid_until: datetime | None = None
    pem: str | None = None

    def to_wire(self) -> dict[str, str | None]:
        """Every member, `null` where it is not given."""
        return {
            "thumbprint": self.thumbprint,
            "validUntil": format_instant(self.valid_until) if self.valid_until else None,
            "pem": self.pem,
        }


def reported_patch(
    certificate: ReportedCertificate | None, onboarding: ReportedOnboarding | None = None
) -> dict[str, Any]:
    """One patch of a twin's reported properties. `None` as certificate says that the device holds none."""
    patch: dict[str, Any] = {CERTIFICATE_PROPERTY: certificate.to_wire() if certificate else None}
    if onboarding is not None:
        patch[ONBOARDING_PROPERTY] = onboarding.to_wire()
    return patch


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewCertificate:
    """The command by which the cloud asks a device to renew one certificate.

    via: the way to do it, `dps` or `iothub`, which travels only where it is given; else the device chooses.
    """

    command_id: str
    device_id: str
    reason: str
    thumbprint: str | None
    valid_until: datetime
    renew_by: datetime
    via: str | None = None

    def to_json(self) -> bytes:
        """The body of the cloud-to-device message."""
        body = {
            "schema": RENEW_SCHEMA,
            "command": RENEW_COMMAND,
            "commandId": self.command_id,
            "deviceId": self.device_id,
            "reason": self.reason,
            "certificate": {"thumbprint": self.thumbprint, "validUntil": format_instant(self.valid_until)},
            "renewBy": format_instant(self.renew_by),
            **({"via": self.via} if self.via else {}),
        }
        return json.dumps(body, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, body: bytes) -> RenewCertificate:
        """The command in a message.

        Raises: ValueError that names what is missing or wrong.
        """
        try:
            document = json.loads(body)
            if document.get("schema") != RENEW_SCHEMA or document.get("command") != RENEW_COMMAND:
                raise ValueError(f"not a {RENEW_SCHEMA} command: {document.get('schema')!r}")
            certificate, via = document["certificate"], document.get("via")
            return cls(
                command_id=str(document["commandId"]),
                device_id=str(document["deviceId"]),
                reason=str(document["reason"]),
                thumbprint=certificate.get("thumbprint"),
                valid_until=parse_instant(certificate["validUntil"]),
                renew_by=parse_instant(document["renewBy"]),
                via=via if isinstance(via, str) else None,
            )
        except (KeyError, AttributeError, TypeError) as problem:
            raise ValueError(f"the command lacks or misshapes {problem}") from problem


ALERT_SCHEMAS: Final = "urn:fleetcert:schema:alerts:1"
"""The document that holds the schemas of all alerts. The number counts what would break a receiver."""


def alert_schema(kind: str) -> str:
    """The `dataschema` of alerts of a type: a stable name of their data's JSON schema."""
    return f"urn:fleetcert:schema:{kind}:1"


class AlertType:
    """The CloudEvents types that operators subscribe to."""

    CERTIFICATE_ISSUED: Final = "Fleetcert.Certificate.Issued"
    CERTIFICATE_RENEWED: Final = "Fleetcert.Certificate.Renewed"
    CERTIFICATE_RENEWAL_DUE: Final = "Fleetcert.Certificate.RenewalDue"
    CERTIFICATE_RENEWAL_OVERDUE: Final = "Fleetcert.Certificate.RenewalOverdue"
    CERTIFICATE_EXPIRED: Final = "Fleetcert.Certificate.Expired"
    CERTIFICATE_EVIDENCE_MISMATCH: Final = "Fleetcert.Certificate.EvidenceMismatch"
    CERTIFICATE_ISSUANCE_UNCONFIRMED: Final = "Fleetcert.Certificate.IssuanceUnconfirmed"
    DEVICE_DISABLED: Final = "Fleetcert.Device.Disabled"
    DEVICE_ENABLED: Final = "Fleetcert.Device.Enabled"
    DEVICE_REVOKED: Final = "Fleetcert.Device.Revoked"
    DEVICE_CONTAINMENT_UNVERIFIED: Final = "Fleetcert.Device.ContainmentUnverified"
    DEVICE_BLOCKED_REGISTRATION_ATTEMPT: Final = "Fleetcert.Device.BlockedRegistrationAttempt"
    DEVICE_REGISTRATION_FAILED: Final = "Fleetcert.Device.RegistrationFailed"
