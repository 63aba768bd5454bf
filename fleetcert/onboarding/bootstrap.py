"""A device's bootstrap credential: the step of one device, and what a fleet's issuing does for each of its devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from fleetcert.certificates import CertificateAuthority, PrivateKey, PublicKey
from fleetcert.onboarding.authority import load_issuing_authority, write_device_chain
from fleetcert.onboarding.describing import describe
from fleetcert.onboarding.issuing import DEVICE_LIFE, certify_device, end_reached, mismatch
from fleetcert.onboarding.keys import KeyType, device_key
from fleetcert.onboarding.names import check_registration_id
from fleetcert.onboarding.requests import KeyAndRequest, read_request
from fleetcert.onboarding.steps import Finding, Step, Verdict
from fleetcert.onboarding.workspace import DeviceFiles, Workspace, present_certificate, present_key
from shared.errors import NotPossible


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """How devices' credentials are made. key_passphrase encrypts the devices' keys, ca_passphrase opens the CA's."""

    key_type: KeyType = "rsa"
    life: timedelta = DEVICE_LIFE
    key_passphrase: bytes | None = field(default=None, repr=False)
    ca_passphrase: bytes | None = field(default=None, repr=False)
    force: bool = False


class DeviceCertificate:
    """A step: `device.pem`, `chain.pem` and `device-full-chain.pem`, issued by the intermediate for a request.

    request: the file to sign; else the certificate is for the key in the device's folder, or for the request there. A
    certificate that has ended is issued again for the same key.
    """

    title = "device certificate"

    def __init__(
        self,
        workspace: Workspace,
        files: DeviceFiles,
        registration_id: str,
        options: DeviceOptions,
        request: Path | None = None,
    ) -> None:
        self._workspace = workspace
        self._files = files
        self._id = registration_id
        self._options = options
        self._request = request

    async def look(self) -> Finding:
        """Whether the device has a certificate of its name and key that the intermediate issued."""
        return look_at_device(
            self._files,
            self._id,
            public_key=None if self._options.force else self._public_key(),
            issuer=present_certificate(self._workspace.intermediate.certificate),
            force=self._options.force,
        )

    async def apply(self) -> str:
        """Issues it, or completes the files beside it. Raises: NotPossible."""
        authority = load_issuing_authority(self._workspace, self._options.ca_passphrase)
        leaf = None if self._options.force else _usable(self._files)
        leaf = leaf or certify_device(authority, self._id, self._needed_key(), self._options.life)
        write_device_chain(self._workspace, self._files, leaf, authority)
        return f"{describe(self._files.certificate, leaf)}\n{self._files.full_chain}: device, intermediate, root"

    def _public_key(self) -> PublicKey | None:
        if self._request is not None:
            return read_request(self._request, self._id)
        if (key := present_key(self._files.key, self._options.key_passphrase)) is not None:
            return key.public_key()
        return read_request(self._files.request, self._id) if self._files.request.exists() else None

    def _needed_key(self) -> PublicKey:
        key = self._public_key()
        if key is None:
            raise NotPossible(f"there is no {self._files.request}: make it with `fleetcert onboard device request`")
        return key


def device_steps(
    workspace: Workspace, files: DeviceFiles, registration_id: str, options: DeviceOptions, request: Path | None = None
) -> list[Step]:
    """The device's key and request where none is brought along, and its certificate. Raises: NotPossible."""
    certificate = DeviceCertificate(workspace, files, registration_id, options, request)
    return [certificate] if request else [device_request(workspace, files, registration_id, options), certificate]


def device_request(
    workspace: Workspace, files: DeviceFiles, registration_id: str, options: DeviceOptions
) -> KeyAndRequest:
    """`device.{key,csr}`. Raises: NotPossible where the id cannot be used."""
    return KeyAndRequest(
        workspace,
        files.credential,
        check_registration_id(registration_id),
        title="device key and request",
        make_key=lambda: device_key(options.key_type),
        passphrase=options.key_passphrase,
        force=options.force,
    )


def issue_or_keep(
    workspace: Workspace,
    files: DeviceFiles,
    registration_id: str,
    authority: CertificateAuthority,
    options: DeviceOptions,
) -> tuple[Verdict, x509.Certificate]:
    """A device of a fleet: its certificate, made or found. A key that is there is used, and only force replaces it.

    Raises: NotPossible where what is there belongs to another device, key or CA.
    """
    check_registration_id(registration_id)
    key = None if options.force else present_key(files.key, options.key_passphrase)
    found = look_at_device(
        files,
        registration_id,
        public_key=key.public_key() if key else None,
        issuer=authority.certificate,
        force=options.force,
    )
    if found.verdict is Verdict.REFUSE:
        raise NotPossible(found.detail)
    leaf = None if options.force else _usable(files)
    if leaf is not None and found.verdict is Verdict.KEEP:
        return Verdict.KEEP, leaf
    if leaf is None:
        key = key or _new_key(workspace, files, options)
        leaf = certify_device(authority, registration_id, key.public_key(), options.life)
    write_device_chain(workspace, files, leaf, authority)
    return found.verdict, leaf


def look_at_device(
    files: DeviceFiles,
    registration_id: str,
    *,
    public_key: PublicKey | None,
    issuer: x509.Certificate | None,
    force: bool = False,
) -> Finding:
    """What to do about a device's certificate file. One that has ended is issued again for the key that is there."""
    leaf = present_certificate(files.certificate)
    if leaf is None:
        return Finding(Verdict.MAKE, str(files.certificate))
    if force:
        return Finding(Verdict.REPLACE, str(files.certificate))
    if (why := mismatch(leaf, name=registration_id, public_key=public_key, issuer=issuer)) is not None:
        return Finding(Verdict.REFUSE, f"{files.certificate}: {why}; --force replaces it")
    if (why := end_reached(leaf)) is not None:
        if public_key is None:
            return Finding(Verdict.REFUSE, f"{files.certificate}: {why}, and its key is elsewhere: bring a request")
        return Finding(Verdict.REPLACE, f"{files.certificate}: {why}")
    if not (files.chain.exists() and files.full_chain.exists()):
        return Finding(Verdict.MAKE, str(files.full_chain))
    return Finding(Verdict.KEEP, describe(files.certificate, leaf))


def _usable(files: DeviceFiles) -> x509.Certificate | None:
    leaf = present_certificate(files.certificate)
    return leaf if leaf is not None and end_reached(leaf) is None else None


def _new_key(workspace: Workspace, files: DeviceFiles, options: DeviceOptions) -> PrivateKey:
    key = device_key(options.key_type)
    workspace.write_key(files.key, key, options.key_passphrase)
    return key
