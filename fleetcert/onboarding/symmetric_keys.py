"""The keys of devices that prove themselves by symmetric keys: derived from a group's, or an enrollment's own.

Azure docs: concepts-symmetric-key-attestation, group enrollments.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hmac
import io
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from fleetcert.device.durable import PRIVATE
from fleetcert.onboarding.enrollment_steps import Kind
from fleetcert.onboarding.ports import EnrollmentService
from fleetcert.onboarding.workspace import Writer, write_file
from shared.errors import NotFound, NotPossible

HEADER: Final = ("registrationId", "primaryKey")


async def primary_key(service: EnrollmentService, kind: Kind, identity: str) -> str:
    """The primary key of an enrollment, in base64. Raises: NotFound, NotPossible where it attests otherwise."""
    if (present := await service.get(kind, identity)) is None:
        raise NotFound("enrollment", identity)
    if present["attestation"]["type"] != "symmetricKey":
        raise NotPossible(f"{identity} does not attest by symmetric keys")
    mechanism = await service.post(kind, identity, "attestationmechanism")
    return str(mechanism["symmetricKey"]["primaryKey"])


def derive_key(group_key: str, registration_id: str) -> str:
    """A device's key in base64: HMAC-SHA256 of its registration id under the group's key. Raises: NotPossible."""
    try:
        key = base64.b64decode(group_key, validate=True)
    except binascii.Error as problem:
        raise NotPossible("the group's key is no base64") from problem
    return base64.b64encode(hmac.digest(key, registration_id.encode(), sha256)).decode()


def write_keys(path: Path, keys: Iterable[tuple[str, str]], *, force: bool = False, write: Writer = write_file) -> None:
    """Registration ids and keys as CSV, for the owner's eyes only; they are printed nowhere else.

    Raises: NotPossible where the file is there and `force` is not given.
    """
    check_replaceable(path, force=force)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    table.writerows(keys)
    write(path, text.getvalue().encode(), PRIVATE)


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raises: NotPossible where the file is there and `force` is not given."""
    if path.exists() and not force:
        raise NotPossible(f"{path} exists, and is replaced only by --force")
