"""The steps that make the CAs: the root, the intermediate's key and request, and the intermediate's certificate.

Each may be done on a machine of its own: the root's key can stay offline, and the request be carried to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from fleetcert.certificates import PublicKey
from fleetcert.onboarding.authority import load_authority
from fleetcert.onboarding.describing import describe
from fleetcert.onboarding.issuing import (
    INTERMEDIATE_LIFE,
    ROOT_LIFE,
    certify_intermediate,
    end_reached,
    intermediate_name,
    make_root,
    mismatch,
    root_name,
)
from fleetcert.onboarding.keys import KeyType, authority_key
from fleetcert.onboarding.requests import KeyAndRequest, read_request
from fleetcert.onboarding.steps import Finding, Step, Verdict
from fleetcert.onboarding.workspace import CredentialFiles, Workspace, present_certificate, present_key
from shared.errors import NotPossible

ROOT: Final = "root CA"
INTERMEDIATE: Final = "intermediate CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityOptions:
    """How the CAs are made. The passphrases open their keys, and encrypt those that are made."""

    key_type: KeyType = "rsa"
    root_life: timedelta = ROOT_LIFE
    intermediate_life: timedelta = INTERMEDIATE_LIFE
    root_passphrase: bytes | None = field(default=None, repr=False)
    intermediate_passphrase: bytes | None = field(default=None, repr=False)
    force: bool = False


class RootCertificate:
    """`root/root-ca.{key,pem}`. A key that is there without its certificate is used."""

    title = ROOT

    def __init__(self, workspace: Workspace, name: str, options: AuthorityOptions) -> None:
        self._workspace = workspace
        self._name = name
        self._options = options

    async def look(self) -> Finding:
        """Whether a root of this name is there."""
        files = self._workspace.root
        certificate = present_certificate(files.certificate)
        key = None if self._options.force else present_key(files.key, self._options.root_passphrase)
        return _verdict_on(
            files.certificate,
            certificate,
            lambda c: mismatch(c, name=root_name(self._name), public_key=key.public_key() if key else None),
            force=self._options.force,
        )

    async def apply(self) -> str:
        """Makes the key where it is missing or replaced, and signs the certificate with it."""
        files, options = self._workspace.root, self._options
        key = None if options.force else present_key(files.key, options.root_passphrase)
        if key is None:
            key = authority_key(options.key_type)
            self._workspace.write_key(files.key, key, options.root_passphrase)
        certificate = make_root(self._name, key, options.root_life).certificate
        self._workspace.write_certificates(files.certificate, certificate)
        return describe(files.certificate, certificate)


class IntermediateCertificate:
    """`ca/intermediate-ca.pem`, which the root issues for `ca/intermediate-ca.csr`."""

    title = INTERMEDIATE

    def __init__(self, workspace: Workspace, name: str, options: AuthorityOptions) -> None:
        self._workspace = workspace
        self._name = name
        self._options = options

    async def look(self) -> Finding:
        """Whether an intermediate of this name is there, of the root and the key that are there."""
        files, force = self._workspace.intermediate, self._options.force
        certificate = present_certificate(files.certificate)
        public_key = None if force else self._expected_key(files)
        issuer = present_certificate(self._workspace.root.certificate)
        return _verdict_on(
            files.certificate,
            certificate,
            lambda c: mismatch(c, name=intermediate_name(self._name), public_key=public_key, issuer=issuer),
            force=force,
        )

    async def apply(self) -> str:
        """Signs the request. Raises: NotPossible where the root's key or the request is missing or of another name."""
        files = self._workspace.intermediate
        root = self._workspace.root
        authority = load_authority(root.certificate, root.key, passphrase=self._options.root_passphrase)
        request = read_request(files.request, intermediate_name(self._name))
        certificate = certify_intermediate(authority, self._name, request, self._options.intermediate_life)
        self._workspace.write_certificates(files.certificate, certificate)
        return describe(files.certificate, certificate)

    def _expected_key(self, files: CredentialFiles) -> PublicKey | None:
        key = present_key(files.key, self._options.intermediate_passphrase)
        return key.public_key() if key else None


def intermediate_request(workspace: Workspace, name: str, options: AuthorityOptions) -> KeyAndRequest:
    """`ca/intermediate-ca.{key,csr}`."""
    return KeyAndRequest(
        workspace,
        workspace.intermediate,
        intermediate_name(name),
        title="intermediate key and request",
        make_key=lambda: authority_key(options.key_type),
        passphrase=options.intermediate_passphrase,
        force=options.force,
    )


def authority_steps(workspace: Workspace, name: str, options: AuthorityOptions) -> list[Step]:
    """Root and intermediate, in the order of the manual steps."""
    return [
        RootCertificate(workspace, name, options),
        intermediate_request(workspace, name, options),
        IntermediateCertificate(workspace, name, options),
    ]


def _verdict_on(
    path: Path, certificate: x509.Certificate | None, problem: Callable[[x509.Certificate], str | None], *, force: bool
) -> Finding:
    """What to do about a CA's certificate file. problem: why a certificate is not the one that is wanted."""
    if certificate is None:
        return Finding(Verdict.MAKE, str(path))
    if force:
        return Finding(Verdict.REPLACE, str(path))
    if (why := problem(certificate) or end_reached(certificate)) is not None:
        return Finding(Verdict.REFUSE, f"{path}: {why}; --force replaces it")
    return Finding(Verdict.KEEP, describe(path, certificate))


def require_certificate(files: CredentialFiles) -> x509.Certificate:
    """The certificate of a CA that has to be there. Raises: NotPossible that says which command makes it."""
    certificate = present_certificate(files.certificate)
    if certificate is None:
        raise NotPossible(f"there is no {files.certificate}: make it with `fleetcert onboard ca create`")
    return certificate
