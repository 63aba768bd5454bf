"""Private keys in files, for their owner alone, encrypted by option.

Each key has two files of one name: `{name}.key`, written once and before anybody is asked to certify it, and
`{name}.pem`, its certificates. The name is a digest of the public key, so that neither can be mistaken for another's.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from fleetcert.certificates import PrivateKey, PublicKey, pem_chain, pem_private_key, read_private_key
from fleetcert.device.chains import Chain
from fleetcert.device.credential import Credential
from fleetcert.device.csr import KeyKind, new_key, signing_request
from fleetcert.device.durable import remove_durably, write_durably
from fleetcert.device.errors import DiskFault, KeyStoreLocked


@contextmanager
def disk_faults() -> Iterator[None]:
    """What the disk does not do is a fault that may pass. Raises: DiskFault."""
    try:
        yield
    except ssl.SSLError:
        raise
    except OSError as problem:
        raise DiskFault(problem) from problem


class FileKeyStore:
    """A `KeyStore` in a directory of its own, which is made where it is missing.

    passphrase: encrypts new keys (PKCS#8, PBES2). Keys that were written without it stay as they are until they are
    replaced. Raises: DiskFault; every method raises KeyStoreLocked for a key of another passphrase.
    """

    @disk_faults()
    def __init__(self, directory: Path, passphrase: bytes | None = None) -> None:
        self._directory = directory
        self._passphrase = passphrase
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @disk_faults()
    def create(self, kind: KeyKind) -> str:
        """Makes a key and returns its name."""
        key = new_key(kind)
        name = name_of_key(key.public_key())
        write_durably(self._key_file(name), pem_private_key(key, self._passphrase))
        return name

    @disk_faults()
    def request(self, name: str, common_name: str) -> bytes:
        """A PKCS#10 request as DER, signed by the key. Raises: KeyError where there is no such key."""
        return signing_request(common_name, self._key(name))

    @disk_faults()
    def certify(self, name: str, chain: Chain) -> None:
        """Keeps the certificates of a key. Raises: ValueError where they are another key's, KeyError."""
        write_durably(self._chain_file(name), pem_chain(Credential(self._key(name), chain).chain))

    @disk_faults()
    def chain(self, name: str) -> Chain:
        """The certificates of a key. Raises: KeyError where key or certificates are missing or damaged."""
        key = self._key(name)
        try:
            pem = self._chain_file(name).read_bytes()
            return Credential(key, tuple(x509.load_pem_x509_certificates(pem))).chain
        except (FileNotFoundError, ValueError) as problem:
            raise KeyError(name) from problem

    @disk_faults()
    def present(self, name: str, context: ssl.SSLContext) -> None:
        """Has the context prove possession of the key, with its certificates. Raises: ssl.SSLError."""
        # Without a password OpenSSL would ask the terminal for it, and a service would wait for ever.
        context.load_cert_chain(str(self._chain_file(name)), str(self._key_file(name)), self._passphrase or b"")

    @disk_faults()
    def keep_only(self, names: Collection[str]) -> None:
        """Destroys all other keys, and what a power loss left half written."""
        kept = {file for name in names for file in (self._key_file(name), self._chain_file(name))}
        files = {file for pattern in ("*.key", "*.pem", ".*.new") for file in self._directory.glob(pattern)}
        for file in sorted(files - kept):
            remove_durably(file)

    def _key(self, name: str) -> PrivateKey:
        file = self._key_file(name)
        try:
            pem = file.read_bytes()
        except FileNotFoundError as problem:
            raise KeyError(name) from problem
        try:
            return read_private_key(pem, self._passphrase)
        except ValueError as problem:
            # A wrong passphrase is a person's mistake, and no reason to throw the key away: a damaged file is.
            if b"BEGIN ENCRYPTED PRIVATE KEY" in pem:
                raise KeyStoreLocked(file) from problem
            raise KeyError(name) from problem

    def _key_file(self, name: str) -> Path:
        return self._directory / f"{name}.key"

    def _chain_file(self, name: str) -> Path:
        return self._directory / f"{name}.pem"


def name_of_key(key: PublicKey) -> str:
    digest = Hash(SHA256())
    digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()[:32]
