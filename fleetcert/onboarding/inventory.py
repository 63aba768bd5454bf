"""The inventory file: which onboarding certificates were issued, for the app. JSON Lines, a device a line, public only.

docs/onboarding.md, "The inventory file", is the contract.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import msgspec
from cryptography import x509

from fleetcert.certificates import common_name_of, pem_chain, sha1_thumbprint, thumbprint
from fleetcert.onboarding.workspace import read_certificate
from shared.contracts import format_instant
from shared.errors import NotPossible


class InventoryLine(msgspec.Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One device. Thumbprints and serial number in lower-case hex, instants as RFC 3339 with Z, issuer as RFC 4514."""

    registration_id: str
    thumbprint: str
    sha1_thumbprint: str
    serial_number: str
    not_before: str
    not_after: str
    issuer: str
    pem: str

    @classmethod
    def of(cls, registration_id: str, leaf: x509.Certificate) -> Self:
        """What is told of a device's certificate."""
        return cls(
            registration_id=registration_id,
            thumbprint=thumbprint(leaf),
            sha1_thumbprint=sha1_thumbprint(leaf),
            serial_number=f"{leaf.serial_number:x}",
            not_before=format_instant(leaf.not_valid_before_utc),
            not_after=format_instant(leaf.not_valid_after_utc),
            issuer=leaf.issuer.rfc4514_string(),
            pem=pem_chain([leaf]).decode(),
        )

    def encode(self) -> bytes:
        """The line, with its end."""
        return msgspec.json.encode(self) + b"\n"


def write_inventory(path: Path, lines: Iterable[InventoryLine]) -> int:
    """Writes the file aside and renames it when the last line is on the disk; how many lines there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside, count = path.with_name(f".{path.name}.new"), 0
    with aside.open("wb") as file:
        for line in lines:
            file.write(line.encode())
            count += 1
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    return count


def read_inventory(path: Path) -> Iterator[InventoryLine]:
    """Its lines. Raises: NotPossible that names the line that is none."""
    decoder = msgspec.json.Decoder(InventoryLine)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as problem:
                    raise NotPossible(f"{path} is no inventory: line {number}: {problem}") from problem
    except OSError as problem:
        raise NotPossible(f"{path} cannot be read: {problem.strerror}") from problem


def found_in(folder: Path) -> Iterator[InventoryLine]:
    """Every `device.pem` below a folder, whoever made it. Raises: NotPossible where one is no certificate."""
    for path in sorted(folder.rglob("device.pem")):
        leaf = read_certificate(path)
        yield InventoryLine.of(common_name_of(leaf.subject), leaf)
