"""Certificate signing requests: a key and the request beside it, and what a signer makes of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetcert.certificates import PrivateKey, PublicKey, common_name, common_name_of
from fleetcert.device.durable import PUBLIC
from fleetcert.onboarding.keys import signature_hash
from fleetcert.onboarding.steps import Finding, Verdict
from fleetcert.onboarding.workspace import CredentialFiles, Workspace, present_key
from shared.errors import NotPossible


class KeyAndRequest:
    """A step: `{stem}.key` and `{stem}.csr`, unless the certificate is there. A key that is there is used."""

    def __init__(
        self,
        workspace: Workspace,
        files: CredentialFiles,
        name: str,
        *,
        title: str,
        make_key: Callable[[], PrivateKey],
        passphrase: bytes | None = None,
        force: bool = False,
    ) -> None:
        self.title = title
        self._workspace = workspace
        self._files = files
        self._name = name
        self._make_key = make_key
        self._passphrase = passphrase
        self._force = force

    async def look(self) -> Finding:
        """Whether there is a request of this name and key, or what it was made for."""
        files = self._files
        if self._force:
            exists = files.key.exists() or files.request.exists()
            return Finding(Verdict.REPLACE if exists else Verdict.MAKE, str(files.request))
        if files.certificate.exists():
            return Finding(Verdict.KEEP, f"{files.certificate} is there")
        if not files.request.exists():
            return Finding(Verdict.MAKE, str(files.request))
        return self._judge(read_request(files.request, self._name))

    async def apply(self) -> str:
        """Writes the key first: without it a request is worth nothing."""
        files = self._files
        key = None if self._force else present_key(files.key, self._passphrase)
        if key is None:
            key = self._make_key()
            self._workspace.write_key(files.key, key, self._passphrase)
        request = x509.CertificateSigningRequestBuilder().subject_name(common_name(self._name))
        pem = request.sign(key, signature_hash(key)).public_bytes(serialization.Encoding.PEM)
        self._workspace.write(files.request, pem, PUBLIC)
        return str(files.request)

    def _judge(self, public_key: PublicKey) -> Finding:
        key = present_key(self._files.key, self._passphrase)
        if key is not None and key.public_key() != public_key:
            return Finding(Verdict.REFUSE, f"{self._files.request} was made with another key than {self._files.key}")
        return Finding(Verdict.KEEP, str(self._files.request))


def read_request(path: Path, name: str) -> PublicKey:
    """The public key that a request asks a certificate for.

    Raises: NotPossible where it is no request, asks for another name, or is not signed with the key that it holds.
    """
    request = _load(path)
    if common_name_of(request.subject) != name:
        raise NotPossible(f"{path} asks for {common_name_of(request.subject)!r}, not for {name!r}")
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise NotPossible(f"{path} holds a key that is neither EC nor RSA, which DPS does not take")
    return key


def _load(path: Path) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
        is_signed = request.is_signature_valid
    except OSError as problem:
        raise NotPossible(f"{path} cannot be read: {problem.strerror}") from problem
    except (ValueError, InvalidSignature) as problem:
        raise NotPossible(f"{path} is no certificate signing request in PEM") from problem
    if not is_signed:
        raise NotPossible(f"{path} is not signed with the key that it holds")
    return request
