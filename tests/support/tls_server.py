"""A TLS server under test, with its certificates and an endpoint that notes what happens to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, pem_chain, pem_private_key
from fleetcert.local.tls import serve_tls


@dataclass(frozen=True)
class Pki:
    """A server certificate that its clients trust, and a client certificate that nobody vouches for."""

    folder: Path
    client_chain: list[x509.Certificate]

    @property
    def server(self) -> tuple[Path, Path]:
        return self.folder / "server.crt", self.folder / "server.key"

    def client(self, *, certificate: bool, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        context.minimum_version = context.maximum_version = version
        if certificate:
            context.load_cert_chain(self.folder / "client.crt", self.folder / "client.key")
        return context


def _authority(name: str) -> CertificateAuthority:
    now = datetime.now(UTC).replace(microsecond=0)
    key = ec.generate_private_key(ec.SECP256R1())
    return CertificateAuthority.create_root(
        name, key, not_before=now - timedelta(minutes=1), not_after=now + timedelta(hours=1)
    )


def _write_leaf(folder: Path, name: str, authority: CertificateAuthority, profile: LeafProfile) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    valid = {"not_before": authority.certificate.not_valid_before_utc, "not_after": datetime.now(UTC) + timedelta(1)}
    leaf = authority.issue_leaf(name, key.public_key(), profile, **valid)
    (folder / f"{name}.crt").write_bytes(pem_chain([leaf, *authority.chain]))
    (folder / f"{name}.key").write_bytes(pem_private_key(key))
    return leaf


@dataclass
class Recorder(asyncio.Protocol):
    """An endpoint that notes what happens to it."""

    expected: int = 0
    pauses_after_each: bool = False
    goes_on_writing: bool = False
    events: list[str] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Future[asyncio.Transport] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.opened.set_result(transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) == self.expected:
            self.complete.set()
        if self.pauses_after_each:
            transport = self.opened.result()
            self.events.append("wanted" if transport.is_reading() else "unwanted")
            transport.pause_reading()

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.goes_on_writing

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, problem: Exception | None) -> None:
        self.closed.set()


@asynccontextmanager
async def serving(pki: Pki, factory: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    server = await serve_tls(factory, "127.0.0.1", 0, *pki.server)
    # Connections inherit it: else the kernel takes up to 32 MB that nobody reads.
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        server.close_clients()


def streams(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> Callable[[], asyncio.Protocol]:
    return lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), handler)


def create_pki(folder: Path) -> Pki:
    trusted, stranger = _authority("trusted"), _authority("stranger")
    (folder / "ca.crt").write_bytes(pem_chain(trusted.chain))
    _write_leaf(folder, "server", trusted, LeafProfile([ExtendedKeyUsageOID.SERVER_AUTH], [x509.DNSName("localhost")]))
    leaf = _write_leaf(folder, "client", stranger, LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH]))
    return Pki(folder, [leaf, stranger.certificate])
