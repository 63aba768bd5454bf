"""The TLS certificate of the local services: for `localhost`, below a CA that only this start knows."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, pem_chain, pem_private_key
from fleetcert.local.config import ADDRESS, HOST

_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """PEM files. ca_bundle: what clients trust. certificate: the server's chain, leaf first."""

    ca_bundle: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """TLS for the endpoints that take no client certificates."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def create_server_certificate(folder: Path) -> ServerCertificate:
    """Makes a CA, whose key is forgotten, and a certificate for `localhost` and 127.0.0.1, valid for a year."""
    folder.mkdir(parents=True, exist_ok=True)
    files = ServerCertificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    now = datetime.now(UTC).replace(microsecond=0)
    authority = CertificateAuthority.create_root(
        "fleetcert local services",
        ec.generate_private_key(ec.SECP256R1()),
        not_before=now,
        not_after=now + _LIFETIME,
        path_length=0,
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address(ADDRESS))]
    profile = LeafProfile([ExtendedKeyUsageOID.SERVER_AUTH], names)
    leaf = authority.issue_leaf(HOST, key.public_key(), profile, not_before=now, not_after=now + _LIFETIME)
    files.ca_bundle.write_bytes(pem_chain(authority.chain))
    files.certificate.write_bytes(pem_chain([leaf]))
    files.key.touch(mode=0o600)
    files.key.write_bytes(pem_private_key(key))
    return files
