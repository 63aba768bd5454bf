"""Whether a device obeys a command."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

from fleetcert.device.ports import Operational, Way
from shared.contracts import RenewCertificate, normal_thumbprint

LONGEST_ID: Final = 128
_OURS: Final = "fleetcert."


class Refusal(StrEnum):
    """Why a command is not obeyed. Operators read it in the twin's `renewal.reason`."""

    ANOTHER_DEVICE = "AnotherDevice"
    ANOTHER_CERTIFICATE = "AnotherCertificate"
    NOT_UNDERSTOOD = "NotUnderstood"


def read(body: bytes) -> RenewCertificate:
    """The command in a message. Raises: ValueError where it is none that this device understands."""
    try:
        command = RenewCertificate.from_json(body)
    except RecursionError as problem:
        raise ValueError("the message is nested too deeply") from problem
    if not 0 < len(command.command_id) <= LONGEST_ID:
        raise ValueError(f"the commandId has {len(command.command_id)} characters, at most {LONGEST_ID} are taken")
    return command


def id_of_unreadable(body: bytes) -> str | None:
    """The id of a message that is meant to be a command of this project, but of another version or misshapen."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith(_OURS):
        return None
    command_id = document.get("commandId")
    return command_id if isinstance(command_id, str) and 0 < len(command_id) <= LONGEST_ID else None


def way_of(command: RenewCertificate) -> Way | None:
    """The way that the command asks for. One that is not known is no reason to let a certificate expire."""
    return Way(command.via) if command.via in set(Way) else None


def judge(command: RenewCertificate, current: Operational) -> Refusal | None:
    """The reason to refuse, or None. A command names the certificate that it wants replaced: a late one is idle."""
    if command.device_id != current.device_id:
        return Refusal.ANOTHER_DEVICE
    if command.thumbprint is None:
        is_meant = command.valid_until == current.not_after
    else:
        is_meant = normal_thumbprint(command.thumbprint) == current.thumbprint
    return None if is_meant else Refusal.ANOTHER_CERTIFICATE
