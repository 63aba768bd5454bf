"""Uploading a CA to DPS and proving that its key is ours: the steps, and each of their parts alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, PublicKey, is_issued_by
from fleetcert.onboarding.authority import load_authority
from fleetcert.onboarding.authority_steps import require_certificate
from fleetcert.onboarding.issuing import readable_name, utc_now
from fleetcert.onboarding.keys import KeyType, device_key
from fleetcert.onboarding.names import check_code
from fleetcert.onboarding.ports import CertificateService, Challenge, UploadedCertificate
from fleetcert.onboarding.requests import KeyAndRequest, read_request
from fleetcert.onboarding.steps import Finding, Verdict
from fleetcert.onboarding.workspace import CredentialFiles, Workspace, present_certificate, read_certificate
from shared.adapters.faults import RequestRejected
from shared.errors import NotFound, NotPossible

PROOF_LIFE: Final = timedelta(days=1)


class UploadAuthority:
    """A step: the CA's certificate is at DPS under `name`. force: another certificate of that name is replaced."""

    def __init__(self, service: CertificateService, files: CredentialFiles, name: str, *, force: bool = False) -> None:
        self.title = f"{name} at DPS"
        self._service = service
        self._files = files
        self._name = name
        self._force = force
        self._present: UploadedCertificate | None = None

    async def look(self) -> Finding:
        """Whether this very certificate is there."""
        self._present = await self._service.get(self._name)
        local = present_certificate(self._files.certificate)
        if self._present is None or local is None:
            return Finding(Verdict.MAKE, f"{self._files.certificate} as {self._name}")
        if self._present.is_of(local):
            return Finding(Verdict.KEEP, told(self._present))
        detail = f"another certificate has this name there ({self._present.thumbprint})"
        if self._force:
            return Finding(Verdict.REPLACE, detail)
        return Finding(Verdict.REFUSE, f"{detail}; --force replaces it, and what it attests is locked out")

    async def apply(self) -> str:
        """Uploads it under the ETag that the look has seen. Raises: Conflict."""
        certificate = require_certificate(self._files)
        etag = self._present.etag if self._present else None
        return told(await self._service.upload(self._name, certificate, etag))


class ProveAuthority:
    """A step: DPS has seen a certificate that the CA's key has signed for its code.

    The proof is written beside the CA, as `verification.{key,csr,pem}`.
    """

    def __init__(
        self,
        service: CertificateService,
        workspace: Workspace,
        files: CredentialFiles,
        name: str,
        passphrase: bytes | None = None,
    ) -> None:
        self.title = f"possession of {name}"
        self._service = service
        self._workspace = workspace
        self._files = files
        self._name = name
        self._passphrase = passphrase

    async def look(self) -> Finding:
        """Whether DPS holds it as verified."""
        return await _look_for_proof(self._service, self._files, self._name)

    async def apply(self) -> str:
        """Asks for a code, signs a certificate for it, and shows that to DPS. Raises: Conflict, NotFound.

        The key is opened first: a code that cannot be signed would only void the one before.
        """
        authority = load_authority(self._files.certificate, self._files.key, passphrase=self._passphrase)
        challenge = await request_code(self._service, self._name)
        proof = await write_proof(self._workspace, self._files, authority, challenge.code)
        return told(await _verify(self._service, self._name, proof, challenge.etag))


class ShowProof:
    """A step: DPS has seen a verification certificate that was made elsewhere, for the code of last."""

    def __init__(self, service: CertificateService, files: CredentialFiles, name: str, proof: Path) -> None:
        self.title = f"possession of {name}"
        self._service = service
        self._files = files
        self._name = name
        self._proof = proof

    async def look(self) -> Finding:
        """Whether DPS holds the CA as verified, and whether the proof is one of this CA."""
        finding = await _look_for_proof(self._service, self._files, self._name)
        authority = require_certificate(self._files)
        if finding.verdict is Verdict.MAKE and not is_issued_by(read_certificate(self._proof), authority):
            return Finding(Verdict.REFUSE, f"{self._proof} was not issued by {readable_name(authority)}")
        return finding

    async def apply(self) -> str:
        """Raises: Conflict, NotFound, NotPossible where DPS does not take the proof."""
        present = await _uploaded(self._service, self._name)
        return told(await _verify(self._service, self._name, read_certificate(self._proof), present.etag))


async def request_code(service: CertificateService, name: str) -> Challenge:
    """A new verification code for what is uploaded under the name. Raises: Conflict, NotFound."""
    return await service.generate_code(name, (await _uploaded(service, name)).etag)


async def write_proof(
    workspace: Workspace, files: CredentialFiles, authority: CertificateAuthority, code: str
) -> x509.Certificate:
    """`verification.{key,csr,pem}`: a certificate of a day whose common name is the code, issued by the CA.

    A code is good for one proof, so that the files of an earlier one are replaced. Raises: NotPossible.
    """
    check_code(code)
    proof = workspace.proof(files)
    kind: KeyType = "rsa" if isinstance(authority.key, rsa.RSAPrivateKey) else "ec"
    step = KeyAndRequest(
        workspace, proof, code, title="verification request", make_key=lambda: device_key(kind), force=True
    )
    await step.apply()
    certificate = _certify_code(authority, code, read_request(proof.request, code))
    workspace.write_certificates(proof.certificate, certificate)
    return certificate


def told(present: UploadedCertificate) -> str:
    """What DPS says of a certificate."""
    state = "verified" if present.is_verified else "not verified yet"
    return f"{state}, SHA-1 thumbprint {present.thumbprint}"


async def _look_for_proof(service: CertificateService, files: CredentialFiles, name: str) -> Finding:
    present = await service.get(name)
    local = present_certificate(files.certificate)
    if present is None or local is None:
        return Finding(Verdict.MAKE, f"proof for {name}")
    if not present.is_of(local):
        return Finding(Verdict.REFUSE, f"DPS holds another certificate of this name ({present.thumbprint})")
    return Finding(Verdict.KEEP if present.is_verified else Verdict.MAKE, told(present))


async def _verify(service: CertificateService, name: str, proof: x509.Certificate, etag: str) -> UploadedCertificate:
    try:
        return await service.verify(name, proof, etag)
    except RequestRejected as problem:
        why, *_ = str(problem).splitlines()  # Azure Resource Manager says it thrice
        raise NotPossible(f"DPS does not take the proof (is it for the last code?): {why}") from problem


async def _uploaded(service: CertificateService, name: str) -> UploadedCertificate:
    """What DPS holds under the name. Raises: NotFound."""
    present = await service.get(name)
    if present is None:
        raise NotFound("CA certificate at DPS", name)
    return present


def _certify_code(authority: CertificateAuthority, code: str, public_key: PublicKey) -> x509.Certificate:
    now = utc_now()
    profile = LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH])
    return authority.issue_leaf(code, public_key, profile, not_before=now, not_after=now + PROOF_LIFE)
