"""Inventories of onboarding leaves for tests, and a container that keeps them in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from support.events import DAY, device_pem
from support.fakes import NOON

from shared.contracts import format_instant
from shared.domain.leaves import Leaf
from shared.errors import Conflict
from shared.services.inventories import PendingBlob


def leaf(registration_id: str, days: int = 365) -> Leaf:
    """A leaf that was issued for onboarding."""
    pem = device_pem(registration_id, NOON, days * DAY)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return Leaf(
        registration_id=registration_id,
        thumbprint=certificate.fingerprint(hashes.SHA256()).hex(),
        valid_until=certificate.not_valid_after_utc,
        pem=pem,
    )


def line_of(leaf: Leaf, **changes: object) -> bytes:
    """Its line in an inventory."""
    members = {
        "registrationId": leaf.registration_id,
        "thumbprint": leaf.thumbprint,
        "sha1Thumbprint": "00" * 20,
        "serialNumber": "01",
        "notBefore": format_instant(NOON),
        "notAfter": format_instant(leaf.valid_until),
        "issuer": "CN=issuing CA",
        "pem": leaf.pem,
    }
    return json.dumps({**members, **changes}).encode() + b"\n"


@dataclass
class FakeInventories:
    """Blobs by name; `faults` are raised by the next calls, one each."""

    contents: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    reads: list[tuple[str, int]] = field(default_factory=list)

    def put(self, name: str, content: bytes) -> None:
        self.contents[name] = content
        self.versions[name] = self.versions.get(name, 0) + 1
        self.outcomes.pop(name, None)

    async def pending(self) -> PendingBlob | None:
        for name in sorted(self.contents.keys() - self.outcomes.keys()):
            return PendingBlob(name, str(self.versions[name]), len(self.contents[name]))
        return None

    async def read(self, blob: PendingBlob, offset: int, length: int) -> bytes:
        self._check(blob)
        self.reads.append((blob.name, offset))
        return self.contents[blob.name][offset : offset + length]

    async def reject(self, blob: PendingBlob, lines: Sequence[tuple[int, str]]) -> None:
        self.rejected += lines

    async def finish(self, blob: PendingBlob, outcome: Mapping[str, str]) -> None:
        self._check(blob)
        self.outcomes[blob.name] = outcome

    def _check(self, blob: PendingBlob) -> None:
        if str(self.versions[blob.name]) != blob.etag:
            raise Conflict(blob.name)
