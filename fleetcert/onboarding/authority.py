"""The private CA that devices are onboarded with: root, intermediate, and one bootstrap certificate a device.

Names, key sizes, lifetimes and extensions are those of the manual steps in "Understanding X.509 and CSR Workflows"
(IoT Hub with ADR and Certificate Management). EC keys (P-384 for CAs, P-256 for devices) are the faster option.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import (
    CertificateAuthority,
    LeafProfile,
    PrivateKey,
    SignatureHash,
    pem_chain,
    pem_private_key,
)
from fleetcert.device.credential import Credential
from fleetcert.device.durable import PRIVATE, PUBLIC, write_durably
from shared.errors import NotPossible

type KeyType = Literal["rsa", "ec"]

ROOT_LIFE: Final = timedelta(days=3650)
INTERMEDIATE_LIFE: Final = timedelta(days=1825)
DEVICE_LIFE: Final = timedelta(days=365)

_AUTHORITY_RSA_BITS: Final = 4096
_DEVICE_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A root and the intermediate that issues for devices; DPS is given the intermediate."""

    root: CertificateAuthority
    intermediate: CertificateAuthority


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """Where a device's bootstrap credential lies, as PEM. full_chain: device, intermediate, root."""

    certificate: Path
    key: Path
    chain: Path
    full_chain: Path


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
    targets = [directory / part for part in ("root/root-ca", "ca/intermediate-ca")]
    _refuse_to_overwrite([path.with_suffix(suffix) for path in targets for suffix in (".key", ".pem")], force=force)
    now = _now()
    root_key = _authority_key(key_type)
    root = CertificateAuthority.create_root(
        f"{name}-root",
        root_key,
        not_before=now,
        not_after=now + root_life,
        path_length=1,
        signature_hash=_signature_hash(root_key),
    )
    intermediate = root.issue_authority(
        f"{name}-intermediate",
        _authority_key(key_type),
        not_before=now,
        not_after=min(now + intermediate_life, root.certificate.not_valid_after_utc),
        path_length=0,
    )
    for path, authority in zip(targets, (root, intermediate), strict=True):
        _write_pair(path, authority.key, [authority.certificate])
    return Hierarchy(root, intermediate)


def load_authority(certificate: Path, key: Path, chain: Path | None = None) -> CertificateAuthority:
    """An authority from PEM files; `chain` holds the certificates above it, from its issuer to the root.

    Raises: OSError, ValueError where a file is not what it should be or the key belongs to another certificate.
    """
    parents = x509.load_pem_x509_certificates(chain.read_bytes()) if chain else []
    credential = Credential.from_pem(key.read_bytes(), certificate.read_bytes())
    own = credential.leaf
    return CertificateAuthority(
        own,
        credential.key,
        tuple(parent for parent in (*credential.chain[1:], *parents) if parent != own),
        _signature_hash(credential.key),
    )


def issue_device(
    authority: CertificateAuthority,
    registration_id: str,
    *,
    key_type: KeyType = "rsa",
    life: timedelta = DEVICE_LIFE,
) -> Credential:
    """A bootstrap credential for the device: its key, and the chain up to the root.

    It never outlives the authority: a chain is worth nothing after the first of its certificates has expired.
    """
    key = _device_key(key_type)
    now = _now()
    profile = LeafProfile(
        extended_key_usages=[ExtendedKeyUsageOID.CLIENT_AUTH],
        alternative_names=[x509.DNSName(registration_id)],
        key_encipherment=key_type == "rsa",  # RFC 5480: an EC key enciphers no keys
    )
    leaf = authority.issue_leaf(
        registration_id,
        key.public_key(),
        profile,
        not_before=now,
        not_after=min(now + life, authority.certificate.not_valid_after_utc),
    )
    return Credential(key, (leaf, *authority.chain))


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
    files = DeviceFiles(
        certificate=directory / "device.pem",
        key=directory / "device.key",
        chain=directory / "chain.pem",
        full_chain=directory / "device-full-chain.pem",
    )
    _refuse_to_overwrite([files.certificate, files.key, files.chain, files.full_chain], force=force)
    credential = issue_device(authority, registration_id, key_type=key_type, life=life)
    _write_pair(files.certificate, credential.key, [credential.leaf])
    write_durably(files.chain, pem_chain(credential.chain[1:]), PUBLIC)
    write_durably(files.full_chain, pem_chain(credential.chain), PUBLIC)
    return files


def _refuse_to_overwrite(paths: list[Path], *, force: bool) -> None:
    existing = [str(path) for path in paths if path.exists()]
    if existing and not force:
        raise NotPossible(f"{existing[0]} exists, and is replaced only by force")


def _write_pair(path: Path, key: PrivateKey, certificates: list[x509.Certificate]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path.with_suffix(".key"), pem_private_key(key), PRIVATE)
    write_durably(path.with_suffix(".pem"), pem_chain(certificates), PUBLIC)


def _authority_key(key_type: KeyType) -> PrivateKey:
    if key_type == "ec":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=_AUTHORITY_RSA_BITS)


def _device_key(key_type: KeyType) -> PrivateKey:
    if key_type == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=_DEVICE_RSA_BITS)


def _signature_hash(key: PrivateKey) -> SignatureHash:
    return hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) else hashes.SHA256()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
