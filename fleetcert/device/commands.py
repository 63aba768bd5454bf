"""Whether a device obeys a command."""

from __future__ import annotations

from enum import StrEnum

from fleetcert.device.keystore import Operational
from shared.contracts import RenewCertificate, normal_thumbprint


class Refusal(StrEnum):
    """Why a command is not obeyed. Operators read it in the twin's `renewal.reason`."""

    ANOTHER_DEVICE = "AnotherDevice"
    ANOTHER_CERTIFICATE = "AnotherCertificate"


def judge(command: RenewCertificate, current: Operational) -> Refusal | None:
    """The reason to refuse, or None. A command names the certificate that it wants replaced: a late one is idle."""
    if command.device_id != current.device_id:
        return Refusal.ANOTHER_DEVICE
    if command.thumbprint is None:
        is_meant = command.valid_until == current.credential.not_after
    else:
        is_meant = normal_thumbprint(command.thumbprint) == current.credential.thumbprint
    return None if is_meant else Refusal.ANOTHER_CERTIFICATE
