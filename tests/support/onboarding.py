"""DPS in memory for onboarding, with its rules of versions and proofs, and a fault at any change of it or the disk."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cryptography import x509

from fleetcert.certificates import sha1_thumbprint
from fleetcert.local.dps.authorities import CertificateAuthorities, UploadedAuthority
from fleetcert.local.dps.errors import Refusal
from fleetcert.onboarding.authority_steps import AuthorityOptions
from fleetcert.onboarding.bootstrap import DeviceOptions
from fleetcert.onboarding.ports import Challenge, Document, UploadedCertificate
from fleetcert.onboarding.setup import Plan
from fleetcert.onboarding.steps import Outcome, Step, carry_out
from fleetcert.onboarding.terms import CredentialPolicy, Terms
from fleetcert.onboarding.workspace import write_file
from shared.adapters.faults import RequestRejected
from shared.clock import SystemClock
from shared.errors import Conflict, InfrastructureFault

PLAN = Plan(
    name="plant",
    registration_id="dev-1",
    enrollment_group="fleet",
    terms=Terms(policy=CredentialPolicy(name="default")),
    authorities=AuthorityOptions(key_type="p256"),
    device=DeviceOptions(key_type="p256"),
)
"""Everything, with keys that are made at once."""


class PowerLoss(Exception):
    """Whatever ends a run at once."""


@dataclass
class Changes:
    """Counts what changes the world, and ends the run before or after the change number `fault`."""

    fault: int | None = None
    after: bool = False
    names: list[str] = field(default_factory=list)

    def happen[T](self, name: str, change: Callable[[], T]) -> T:
        self.names.append(name)
        strikes = len(self.names) - 1 == self.fault
        if strikes and not self.after:
            raise PowerLoss(name)
        result = change()
        if strikes:
            raise PowerLoss(name)
        return result

    def write(self, path: Path, data: bytes, mode: int, /) -> None:
        self.happen(f"write {path.name}", lambda: write_file(path, data, mode))


class FakeCertificates:
    """Implements `CertificateService` on the emulator's own rules. meanwhile: what others do after the next `get`."""

    def __init__(self, changes: Changes | None = None) -> None:
        self.authorities = CertificateAuthorities(SystemClock())
        self.changes = changes or Changes()
        self.meanwhile: Callable[[], object] | None = None
        self.codes: list[str] = []

    async def get(self, name: str) -> UploadedCertificate | None:
        found = next((one for one in self.authorities.all() if one.name.casefold() == name.casefold()), None)
        if self.meanwhile is not None and found is not None:
            self.meanwhile, others = None, self.meanwhile
            others()
        return _uploaded(found) if found else None

    async def list(self) -> Sequence[UploadedCertificate]:
        return [_uploaded(one) for one in self.authorities.all()]

    async def upload(self, name: str, certificate: x509.Certificate, etag: str | None) -> UploadedCertificate:
        return self._change(f"upload {name}", lambda: self.authorities.put(name, certificate, if_match=etag))

    async def generate_code(self, name: str, etag: str) -> Challenge:
        changed = self._change(f"code {name}", lambda: self.authorities.generate_verification_code(name, etag))
        code = self.authorities.get(name).verification_code
        assert code is not None
        self.codes.append(code)
        return Challenge(code, changed.etag)

    async def verify(self, name: str, proof: x509.Certificate, etag: str) -> UploadedCertificate:
        return self._change(f"verify {name}", lambda: self.authorities.verify(name, proof, etag))

    def _change(self, name: str, change: Callable[[], UploadedAuthority]) -> UploadedCertificate:
        try:
            return _uploaded(self.changes.happen(name, change))
        except Refusal as refusal:
            if refusal.status is HTTPStatus.PRECONDITION_FAILED:
                raise Conflict(refusal.message) from refusal
            if refusal.status is HTTPStatus.NOT_FOUND:
                raise InfrastructureFault("ARM", refusal.message) from refusal
            raise RequestRejected("ARM", refusal.status, refusal.message) from refusal


class FakeEnrollments:
    """Implements `EnrollmentService`: documents with ETags; symmetric keys are made, and shown by their action only."""

    def __init__(self, changes: Changes | None = None, api_version: str = "2025-07-01-preview") -> None:
        self.api_version = api_version
        self.changes = changes or Changes()
        self.documents: dict[tuple[str, ...], Document] = {}
        self.keys: dict[tuple[str, ...], Document] = {}
        self.meanwhile: Callable[[], object] | None = None

    async def get(self, *path: str) -> Document | None:
        found = copy.deepcopy(self.documents.get(path))
        if self.meanwhile is not None:
            self.meanwhile, others = None, self.meanwhile
            others()
        return found

    async def put(self, *path: str, document: Document, etag: str | None = None) -> Document:
        return self.changes.happen(f"put {path[-1]}", lambda: self.store(path, document, etag))

    async def post(self, *path: str, document: Document | None = None) -> Any:
        assert path[-1] == "attestationmechanism"
        return copy.deepcopy(self.keys[path[:-1]])

    async def query(self, *path: str, query: Document) -> list[Document]:
        assert query == {"query": f"SELECT * FROM {path[0]}"}
        return [copy.deepcopy(one) for (kind, _), one in self.documents.items() if kind == path[0]]

    def store(self, path: tuple[str, ...], document: Document, etag: str | None = None) -> Document:
        present = self.documents.get(path)
        if etag is not None and (present is None or present["etag"] != etag):
            raise Conflict(f"{'/'.join(path)} has changed")
        stored = {**copy.deepcopy(document), "etag": secrets.token_hex(4)}
        if stored["attestation"]["type"] == "symmetricKey":
            self.keys[path] = self._with_keys(stored["attestation"])
            stored["attestation"] = {"type": "symmetricKey"}
        self.documents[path] = stored
        return stored

    def _with_keys(self, attestation: Document) -> Document:
        made = {"primaryKey": f"{secrets.token_hex(16)}==", "secondaryKey": f"{secrets.token_hex(16)}=="}
        return {"type": "symmetricKey", "symmetricKey": attestation.get("symmetricKey") or made}


def _uploaded(authority: UploadedAuthority) -> UploadedCertificate:
    return UploadedCertificate(
        name=authority.name,
        thumbprint=sha1_thumbprint(authority.certificate).upper(),
        is_verified=authority.is_verified,
        not_after=authority.certificate.not_valid_after_utc,
        etag=authority.etag,
    )


async def outcomes(*steps: Step, dry_run: bool = False) -> list[Outcome]:
    """What came of the steps."""
    return [outcome async for outcome in carry_out(steps, dry_run=dry_run)]
