"""The alerts' JSON schemas, written from the models of their data: a CloudEvent's `dataschema` names one of them.

`python -m shared.schemas.alerts` prints them all as one document, which the project ships as `docs/alerts.schema.json`
and the app serves as `GET /api/alerts.schema.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.contracts import ALERT_SCHEMAS, AlertType, alert_schema
from shared.domain.fleet_alerts import FleetAlertType
from shared.schemas import alert_data as data

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MODELS: Final[Mapping[str, type[Struct]]] = {
    AlertType.CERTIFICATE_ISSUED: data.CertificateIssued,
    AlertType.CERTIFICATE_RENEWED: data.CertificateRenewed,
    AlertType.CERTIFICATE_RENEWAL_DUE: data.CertificateRenewalDue,
    AlertType.CERTIFICATE_RENEWAL_OVERDUE: data.CertificateRenewalOverdue,
    AlertType.CERTIFICATE_EXPIRED: data.CertificateExpired,
    AlertType.CERTIFICATE_EVIDENCE_MISMATCH: data.CertificateEvidenceMismatch,
    AlertType.CERTIFICATE_ISSUANCE_UNCONFIRMED: data.CertificateIssuanceUnconfirmed,
    AlertType.DEVICE_DISABLED: data.DeviceDisabled,
    AlertType.DEVICE_ENABLED: data.DeviceEnabled,
    AlertType.DEVICE_REVOKED: data.DeviceRevoked,
    AlertType.DEVICE_CONTAINMENT_UNVERIFIED: data.DeviceContainmentUnverified,
    AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT: data.DeviceBlockedRegistrationAttempt,
    AlertType.DEVICE_REGISTRATION_FAILED: data.DeviceRegistrationFailed,
    FleetAlertType.ONBOARDING_EXPIRING: data.OnboardingExpiring,
    FleetAlertType.ISSUER_EXPIRING: data.IssuerExpiring,
    FleetAlertType.ISSUER_ROTATED: data.IssuerRotated,
    FleetAlertType.DIGEST: data.FleetDigest,
    FleetAlertType.SWEEP_AT_CAPACITY: data.FleetSweepAtCapacity,
    FleetAlertType.RECORDING_STALLED: data.FleetRecordingStalled,
    FleetAlertType.DEAD_LETTER_GROWING: data.FleetDeadLetterGrowing,
    FleetAlertType.POISON_GROWING: data.FleetPoisonGrowing,
}


@cache
def document() -> bytes:
    """All schemas as JSON, each under its own `$id`: whoever loads the document can look up any `dataschema`."""
    return json.dumps(build(), indent=2).encode() + b"\n"


def build() -> dict[str, Any]:
    """The document."""
    return {
        "$schema": DIALECT,
        "$id": ALERT_SCHEMAS,
        "title": "fleetcert alerts",
        "description": "The data of each CloudEvent that fleetcert publishes, by its type.",
        "$defs": {kind: _schema(kind, model) for kind, model in MODELS.items()},
    }


def _schema(kind: str, model: type[Struct]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    schema = components.pop(model.__name__)
    inner = {"$defs": components} if components else {}
    return {"$id": alert_schema(kind), **schema, "title": kind, **inner}


if __name__ == "__main__":
    sys.stdout.write(document().decode())
