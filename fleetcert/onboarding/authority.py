"""The private CA that devices are onboarded with, in files: root, intermediate, and one credential a device."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from fleetcert.certificates import CertificateAuthority, is_issued_by
from fleetcert.device.credential import Credential
from fleetcert.onboarding.issuing import (
    DEVICE_LIFE,
    INTERMEDIATE_LIFE,
    ROOT_LIFE,
    certify_device,
    certify_intermediate,
    make_root,
    readable_name,
)
from fleetcert.onboarding.keys import KeyType, authority_key, device_key, read_key, signature_hash
from fleetcert.onboarding.workspace import DeviceFiles, Workspace, read_certificates
from shared.errors import NotPossible


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A root and the intermediate that issues for devices; DPS is given the intermediate."""

    root: CertificateAuthority
    intermediate: CertificateAuthority


def create_hierarchy(
    directory: Path,
    name: str,
    *,
    key_type: KeyType = "rsa",
    root_life: timedelta = ROOT_LIFE,
    intermediate_life: timedelta = INTERMEDIATE_LIFE,
    force: bool = False,
) -> Hierarchy:
    """Makes `{name}-root` and `{name}-intermediate` and writes them to `root/` and `ca/` below the directory.

    Raises: NotPossible where a file is there already and `force` is not given.
    """
    workspace = Workspace(directory)
    authorities = (workspace.root, workspace.intermediate)
    _refuse_to_overwrite([path for files in authorities for path in (files.key, files.certificate)], force=force)
    root = make_root(name, authority_key(key_type), root_life)
    key = authority_key(key_type)
    certificate = certify_intermediate(root, name, key.public_key(), intermediate_life)
    intermediate = CertificateAuthority(certificate, key, root.chain, signature_hash(key))
    for files, authority in zip(authorities, (root, intermediate), strict=True):
        workspace.write_key(files.key, authority.key)
        workspace.write_certificates(files.certificate, authority.certificate)
    return Hierarchy(root, intermediate)


def load_authority(
    certificate: Path, key: Path, chain: Path | None = None, passphrase: bytes | None = None
) -> CertificateAuthority:
    """An authority from PEM files; `chain` holds the certificates above it, from its issuer to the root.

    Raises: NotPossible where a file is not what it should be, or the files do not belong together.
    """
    own, *above = read_certificates(certificate)
    above += [parent for parent in (read_certificates(chain) if chain else []) if parent not in (own, *above)]
    private_key = read_key(key, passphrase)
    if own.public_key() != private_key.public_key():
        raise NotPossible(f"{key} is the key of another certificate than {certificate}")
    for issued, issuer in zip((own, *above), above, strict=False):
        if not is_issued_by(issued, issuer):
            raise NotPossible(f"{readable_name(issued)} in {certificate} was not issued by {readable_name(issuer)}")
    return CertificateAuthority(own, private_key, tuple(above), signature_hash(private_key))


def load_issuing_authority(workspace: Workspace, passphrase: bytes | None = None) -> CertificateAuthority:
    """The intermediate of a workspace, with the root above it. Raises: NotPossible."""
    files = workspace.intermediate
    return load_authority(files.certificate, files.key, workspace.root.certificate, passphrase)


def issue_device(
    authority: CertificateAuthority,
    registration_id: str,
    *,
    key_type: KeyType = "rsa",
    life: timedelta = DEVICE_LIFE,
) -> Credential:
    """A bootstrap credential for the device: its key, and the chain up to the root. Raises: NotPossible."""
    key = device_key(key_type)
    return Credential(key, (certify_device(authority, registration_id, key.public_key(), life), *authority.chain))


def issue_device_credential(
    directory: Path,
    authority: CertificateAuthority,
    registration_id: str,
    *,
    key_type: KeyType = "rsa",
    life: timedelta = DEVICE_LIFE,
    force: bool = False,
) -> DeviceFiles:
    """Issues a bootstrap credential and writes `device.{key,pem}`, `chain.pem` and `device-full-chain.pem`.

    Raises: NotPossible where a file is there already and `force` is not given.
    """
    workspace, files = Workspace(directory), DeviceFiles.in_folder(directory)
    _refuse_to_overwrite([files.certificate, files.key, files.chain, files.full_chain], force=force)
    credential = issue_device(authority, registration_id, key_type=key_type, life=life)
    workspace.write_key(files.key, credential.key)
    write_device_chain(workspace, files, credential.leaf, authority)
    return files


def write_device_chain(
    workspace: Workspace, files: DeviceFiles, leaf: x509.Certificate, authority: CertificateAuthority
) -> None:
    """`device.pem`, `chain.pem` (intermediate, root) and `device-full-chain.pem`. The leaf is last: where it is there,
    the others are."""
    workspace.write_certificates(files.chain, *authority.chain)
    workspace.write_certificates(files.full_chain, leaf, *authority.chain)
    workspace.write_certificates(files.certificate, leaf)


def _refuse_to_overwrite(paths: list[Path], *, force: bool) -> None:
    existing = [str(path) for path in paths if path.exists()]
    if existing and not force:
        raise NotPossible(f"{existing[0]} exists, and is replaced only by force")
