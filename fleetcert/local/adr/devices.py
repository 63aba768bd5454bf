"""A device of the namespace: whether it may be used, and which of its certificates are still good."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from cryptography import x509

RESOURCE_NAME: Final = re.compile(r"[0-9a-zA-Z][a-zA-Z0-9-]{2,63}")
"""A device resource's name (azure-rest-api-specs, ns_device.tsp)."""


def resource_name(device_id: str) -> str:
    """The name under which ARM shows the device: the id itself where ARM allows it.

    How Azure names a device whose id ARM does not allow is not documented; here it gets a stable, readable name.
    """
    if RESOURCE_NAME.fullmatch(device_id):
        return device_id
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", device_id).strip("-")[:48]
    digest = hashlib.sha256(device_id.encode()).hexdigest()[:12]
    return f"{readable}-{digest}" if readable else f"device-{digest}"


@dataclass(slots=True)
class RegisteredDevice:
    """A device and its credentials.

    Revoking rotates `credential_id`: a certificate is good while the id that it was issued under is the current one
    (Azure docs: concepts-certificate-policy-management; IoT Hub looks at no revocation list).
    issued: every certificate that the device ever got, oldest first.
    """

    device_id: str
    policy: str | None
    changed_at: datetime
    enabled: bool = True
    version: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    operating_system_version: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid4()))
    credential_id: str = field(default_factory=lambda: str(uuid4()))
    issued: list[x509.Certificate] = field(default_factory=list)
    _issued_under: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the ARM resource."""
        return resource_name(self.device_id)

    @property
    def issued_serial_numbers(self) -> tuple[int, ...]:
        """The serial numbers of all certificates that this device ever got, oldest first."""
        return tuple(certificate.serial_number for certificate in self.issued)

    def record_issued(self, certificate: x509.Certificate) -> None:
        """This certificate was issued just now."""
        self.issued.append(certificate)
        self._issued_under[certificate.serial_number] = self.credential_id

    def accepts(self, serial_number: int) -> bool:
        """Whether the certificate was issued to this device and not revoked since."""
        return self._issued_under.get(serial_number) == self.credential_id

    def revoke(self) -> None:
        """Makes every certificate issued until now worthless."""
        self.credential_id = str(uuid4())

    def changed(self, now: datetime) -> None:
        """Notes that the resource was modified."""
        self.version += 1
        self.changed_at = now
