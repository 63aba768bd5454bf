"""What of onboarding there is, here and in Azure, when it ends, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from stat import S_IMODE, S_IRWXG, S_IRWXO
from typing import Final

from cryptography import x509

from fleetcert.certificates import common_name_of, is_encrypted
from fleetcert.onboarding.inventory import read_inventory
from fleetcert.onboarding.issuing import mismatch, readable_name, utc_now
from fleetcert.onboarding.keys import read_key
from fleetcert.onboarding.ports import CertificateService, Document, EnrollmentService, UploadedCertificate
from fleetcert.onboarding.terms import policy_member
from fleetcert.onboarding.workspace import CredentialFiles, Workspace, present_certificate
from shared.contracts import parse_instant
from shared.errors import NotPossible

ALL_GROUPS: Final = {"query": "SELECT * FROM enrollmentGroups"}


class Standing(StrEnum):
    """How a thing stands."""

    GOOD = "good"
    ENDING = "ending"
    ENDED = "ended"
    WRONG = "wrong"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing. where: a file, or `DPS`. ends: when it ends, UTC. detail: for people."""

    name: str
    where: str
    standing: Standing
    detail: str = ""
    ends: datetime | None = None


class Survey:
    """Looks at the files of a workspace and at what DPS has. ending_days: from when on an end is near."""

    def __init__(self, workspace: Workspace, ending_days: int = 90) -> None:
        self._workspace = workspace
        self._ending_days = ending_days

    def local(self) -> list[Item]:
        """CAs, the device, and the inventories of fleets."""
        root, intermediate = _readable(self._workspace.root), _readable(self._workspace.intermediate)
        return [
            *self._credential("root CA", self._workspace.root, root),
            *self._credential("intermediate CA", self._workspace.intermediate, root),
            *self._credential("device", self._workspace.device.credential, intermediate),
            *(self._inventory(path) for path in sorted(self._workspace.fleet.glob("inventory*.jsonl"))),
        ]

    async def at_dps(
        self, certificates: CertificateService, enrollments: EnrollmentService, group: str | None = None
    ) -> list[Item]:
        """The CAs of this workspace at DPS, and the groups that attest by them. group: one that has to be there."""
        uploaded = await certificates.list()
        groups = await enrollments.query("enrollmentGroups", "query", query=ALL_GROUPS)
        items = [
            self._authority(title, files, uploaded)
            for title, files in (("root CA", self._workspace.root), ("intermediate CA", self._workspace.intermediate))
        ]
        items += self._groups(groups, uploaded, enrollments.api_version, group)
        return items + await self._enrollment(enrollments)

    async def _enrollment(self, enrollments: EnrollmentService) -> list[Item]:
        """The device's own enrollment, where it has one."""
        device = _readable(self._workspace.device.credential)
        if device is None:
            return []
        name = common_name_of(device.subject)
        document = await enrollments.get("enrollments", name)
        if document is None:
            return []
        standing, detail = _terms(document, policy_member(enrollments.api_version))
        return [
            Item(name=f"enrollment {name}", where="DPS", standing=standing, detail=f"{detail}; wins over the group")
        ]

    def _credential(self, title: str, files: CredentialFiles, issuer: x509.Certificate | None) -> Iterator[Item]:
        certificate, where = _readable(files), str(files.certificate)
        if certificate is not None:
            yield self._certificate(title, where, certificate, issuer)
        elif files.certificate.exists():
            yield Item(name=title, where=where, standing=Standing.WRONG, detail="holds no certificate in PEM")
        else:
            yield Item(name=title, where=where, standing=Standing.MISSING)
        yield _key(f"{title}, key", files, certificate)

    def _certificate(
        self, title: str, where: str, certificate: x509.Certificate, issuer: x509.Certificate | None
    ) -> Item:
        name, ends = common_name_of(certificate.subject), certificate.not_valid_after_utc
        wrong = mismatch(certificate, name=name, issuer=issuer)
        standing = Standing.WRONG if wrong else self._standing(ends)
        return Item(name=title, where=where, standing=standing, detail=wrong or readable_name(certificate), ends=ends)

    def _inventory(self, path: Path) -> Item:
        """A fleet is as good as the first of its certificates that ends."""
        try:
            ends = [parse_instant(line.not_after) for line in read_inventory(path)]
        except (NotPossible, ValueError) as problem:
            return Item(name="fleet", where=str(path), standing=Standing.WRONG, detail=str(problem))
        first = min(ends, default=None)
        standing = self._standing(first) if first else Standing.MISSING
        return Item(
            name="fleet", where=str(path), standing=standing, detail=f"{len(ends)} devices; the first ends", ends=first
        )

    def _authority(self, title: str, files: CredentialFiles, uploaded: Sequence[UploadedCertificate]) -> Item:
        local = _readable(files)
        found = next((one for one in uploaded if local is not None and one.is_of(local)), None)
        if found is None:
            return Item(name=title, where="DPS", standing=Standing.MISSING, detail="not uploaded")
        standing = self._standing(found.not_after) if found.is_verified else Standing.WRONG
        detail = f"{found.name}: {'verified' if found.is_verified else 'not verified'}"
        return Item(name=title, where="DPS", standing=standing, detail=detail, ends=found.not_after)

    def _groups(
        self, groups: Iterable[Document], uploaded: Sequence[UploadedCertificate], api_version: str, wanted: str | None
    ) -> list[Item]:
        intermediate = _readable(self._workspace.intermediate)
        ours = {one.name.casefold() for one in uploaded if intermediate is not None and one.is_of(intermediate)}
        items = []
        for group in groups:
            if group["enrollmentGroupId"] == wanted or ours & _references(group):
                items.append(_group(group, ours, policy_member(api_version)))
        if not items or (wanted and all(item.name != f"group {wanted}" for item in items)):
            name = f"group {wanted}" if wanted else "enrollment group"
            items.append(Item(name=name, where="DPS", standing=Standing.MISSING, detail="attests by the intermediate"))
        return items

    def _standing(self, ends: datetime | None) -> Standing:
        left = (ends - utc_now()).total_seconds() / 86400 if ends else self._ending_days
        if left <= 0:
            return Standing.ENDED
        return Standing.ENDING if left < self._ending_days else Standing.GOOD


def _key(title: str, files: CredentialFiles, certificate: x509.Certificate | None) -> Item:
    """A key that is elsewhere is no fault, where its certificate is here: the root's is best kept offline."""

    def item(standing: Standing, detail: str = "") -> Item:
        return Item(name=title, where=str(files.key), standing=standing, detail=detail)

    if not files.key.exists():
        return item(Standing.MISSING) if certificate is None else item(Standing.GOOD, "kept elsewhere")
    mode = S_IMODE(files.key.stat().st_mode)
    if mode & (S_IRWXG | S_IRWXO):
        return item(Standing.WRONG, f"others may read it ({mode:o})")
    if is_encrypted(files.key.read_bytes()):
        return item(Standing.GOOD, "encrypted")
    try:
        public_key = read_key(files.key).public_key()
    except NotPossible as problem:
        return item(Standing.WRONG, str(problem))
    if certificate is not None and certificate.public_key() != public_key:
        return item(Standing.WRONG, "belongs to another certificate")
    return item(Standing.GOOD, "not encrypted")


def _readable(files: CredentialFiles) -> x509.Certificate | None:
    """The certificate; None where there is none that can be read, which is told where the file is looked at."""
    try:
        return present_certificate(files.certificate)
    except NotPossible:
        return None


def _references(group: Document) -> set[str]:
    references = ((group["attestation"].get("x509") or {}).get("caReferences")) or {}
    return {str(name).casefold() for name in references.values() if name}


def _group(group: Document, ours: set[str], policy: str) -> Item:
    name = f"group {group['enrollmentGroupId']}"
    if ours and not ours & _references(group) and group["attestation"]["type"] == "x509":
        return Item(name=name, where="DPS", standing=Standing.WRONG, detail="it attests by another CA")
    standing, detail = _terms(group, policy)
    return Item(name=name, where="DPS", standing=standing, detail=detail)


def _terms(document: Document, policy: str) -> tuple[Standing, str]:
    """Whether devices get in by an enrollment, and get certificates."""
    status, issues = document.get("provisioningStatus", "enabled"), document.get(policy)
    standing = Standing.GOOD if status == "enabled" and issues else Standing.WRONG
    return standing, f"{status}; policy {issues}" if issues else f"{status}; no credential policy"
