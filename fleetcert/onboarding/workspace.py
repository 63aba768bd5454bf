"""The folders and files of onboarding, named as in "Understanding X.509 and CSR Workflows", and how they are written.

root/root-ca.{key,pem}            ca/intermediate-ca.{key,csr,pem}       {root,ca}/verification.{key,csr,pem}
device/device.{key,csr,pem}       device/chain.pem                       device/device-full-chain.pem
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography import x509

from fleetcert.certificates import PrivateKey, pem_chain, pem_private_key
from fleetcert.device.durable import PRIVATE, PUBLIC, write_durably
from fleetcert.onboarding.keys import read_key
from shared.errors import NotPossible


class Writer(Protocol):
    """Puts bytes into a file, whole or not at all."""

    def __call__(self, path: Path, data: bytes, mode: int, /) -> None:
        """Raises: OSError."""


def write_file(path: Path, data: bytes, mode: int, /) -> None:
    """To the disk, before it returns; makes the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, data, mode)


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """A certificate, its key, and the request that it was made from."""

    certificate: Path
    key: Path
    request: Path

    @classmethod
    def named(cls, stem: Path) -> CredentialFiles:
        """`{stem}.pem`, `{stem}.key`, `{stem}.csr`. (with_suffix would eat what follows a dot in the stem.)"""
        return cls(*(stem.with_name(f"{stem.name}.{kind}") for kind in ("pem", "key", "csr")))


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """Where a device's bootstrap credential lies, as PEM. full_chain: device, intermediate, root."""

    certificate: Path
    key: Path
    request: Path
    chain: Path
    full_chain: Path

    @classmethod
    def in_folder(cls, folder: Path) -> DeviceFiles:
        """The files of one device."""
        names = ("device.pem", "device.key", "device.csr", "chain.pem", "device-full-chain.pem")
        return cls(*(folder / name for name in names))

    @property
    def credential(self) -> CredentialFiles:
        """The leaf alone."""
        return CredentialFiles(self.certificate, self.key, self.request)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder in which CAs and devices are made. write: how files come to be; a port, for faults in tests."""

    directory: Path
    write: Writer = field(default=write_file)

    @property
    def root(self) -> CredentialFiles:
        """The root CA."""
        return CredentialFiles.named(self.directory / "root" / "root-ca")

    @property
    def intermediate(self) -> CredentialFiles:
        """The intermediate CA, which issues for devices."""
        return CredentialFiles.named(self.directory / "ca" / "intermediate-ca")

    def proof(self, authority: CredentialFiles) -> CredentialFiles:
        """The proof of possession of a CA's key, beside the CA."""
        return CredentialFiles.named(authority.certificate.with_name("verification"))

    @property
    def device(self) -> DeviceFiles:
        """The one device of the manual steps."""
        return DeviceFiles.in_folder(self.directory / "device")

    @property
    def fleet(self) -> Path:
        """Where many devices are issued."""
        return self.directory / "fleet"

    def write_key(self, path: Path, key: PrivateKey, passphrase: bytes | None = None) -> None:
        """For its owner's eyes only; encrypted where there is a passphrase."""
        self.write(path, pem_private_key(key, passphrase), PRIVATE)

    def write_certificates(self, path: Path, *certificates: x509.Certificate) -> None:
        """One after the other, in the order given."""
        self.write(path, pem_chain(certificates), PUBLIC)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run out: two of them could leave a key beside the certificate of another.

        Raises: NotPossible.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            _lock(descriptor, self.directory)
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        raise NotPossible(f"another fleetcert works in {directory}") from problem


def read_certificates(path: Path) -> list[x509.Certificate]:
    """What is in a PEM file, in its order; at least one. Raises: NotPossible."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as problem:
        raise NotPossible(f"{path} cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise NotPossible(f"{path} holds no certificate in PEM") from problem
    return certificates


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises: NotPossible."""
    return read_certificates(path)[0]


def present_certificate(path: Path) -> x509.Certificate | None:
    """The certificate of a file, where there is a file. Raises: NotPossible."""
    return read_certificate(path) if path.exists() else None


def present_key(path: Path, passphrase: bytes | None) -> PrivateKey | None:
    """The key of a file, where there is a file. Raises: NotPossible."""
    return read_key(path, passphrase) if path.exists() else None
