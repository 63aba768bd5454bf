"""TLS for the endpoints that devices reach with client certificates: any certificate passes the handshake.

Azure answers a bad client certificate in the protocol (DPS: 401 with an error code; IoT Hub: CONNACK 5), and not by
breaking the handshake. The standard library's `ssl` cannot do that: it verifies in the handshake or drops the
certificate. So TLS runs here through OpenSSL's memory BIOs, and the endpoint verifies the chain that it is given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL

_log = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 30.0
"""A connection that has not finished its handshake by then is dropped. Generous: a fleet may arrive all at once."""

_CHUNK: Final = 64 * 1024

type ProtocolFactory = Callable[[], asyncio.Protocol]


async def serve_tls(
    protocol_factory: ProtocolFactory,
    host: str,
    port: int,
    certificate_file: str | PathLike[str],
    key_file: str | PathLike[str],
) -> asyncio.Server:
    """Listens for TLS 1.2 and 1.3, asks for a client certificate and accepts ANY that is presented, or none.

    The endpoint verifies, so that a refusal is an answer of its protocol, as in Azure. Each protocol gets a transport
    with `get_extra_info("peer_chain")`: the presented certificates, leaf first; empty where there were none.
    certificate_file: PEM, the server's chain, leaf first.
    """
    context = _context(certificate_file, key_file)
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Ciphertext(context, protocol_factory), host, port, backlog=1024)


def _context(certificate_file: str | PathLike[str], key_file: str | PathLike[str]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(certificate_file)
    context.use_privatekey_file(key_file)
    context.set_verify(SSL.VERIFY_PEER, _accept_for_now)
    # A session resumed from a ticket carries no chain, so each connection makes a full handshake.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 34 KB less for every idle connection
    return context


def _accept_for_now(_connection: SSL.Connection, _certificate: Any, _error: int, _depth: int, _ok: int) -> bool:
    return True


class _Ciphertext(asyncio.Protocol):
    """The wire side of a connection: brings about the handshake, then feeds the tunnel."""

    def __init__(self, context: SSL.Context, protocol_factory: ProtocolFactory) -> None:
        self._protocol_factory = protocol_factory
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()
        self._tunnel: TlsTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._tls.bio_write(data)
        if self._tunnel is None:
            self._shake_hands()
        if self._tunnel is not None:
            self._tunnel.deliver()

    def eof_received(self) -> bool:
        return self._tunnel is not None and self._tunnel.end_of_input()

    def pause_writing(self) -> None:
        if self._tunnel is not None:
            self._tunnel.get_protocol().pause_writing()

    def resume_writing(self) -> None:
        if self._tunnel is not None:
            self._tunnel.get_protocol().resume_writing()

    def connection_lost(self, problem: Exception | None) -> None:
        self._end_deadline()
        if self._tunnel is not None:
            self._tunnel.lost(problem)

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            chain = _presented_chain(self._tls)
        except SSL.WantReadError:
            _flush(self._tls, self._raw)
        except (SSL.Error, ValueError) as problem:  # ValueError: a certificate that OpenSSL takes and X.509 does not
            _log.debug("no TLS handshake with %s: %r", self._raw.get_extra_info("peername"), problem)
            _flush(self._tls, self._raw)
            self._raw.close()
        else:
            _flush(self._tls, self._raw)
            self._open(chain)

    def _open(self, chain: Sequence[x509.Certificate]) -> None:
        self._end_deadline()
        protocol = self._protocol_factory()
        self._tunnel = TlsTransport(self._tls, self._raw, protocol, chain)
        protocol.connection_made(self._tunnel)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class TlsTransport(asyncio.Transport):
    """What the endpoint's protocol writes to: plain text in, records out. It buffers in the socket's transport only."""

    def __init__(
        self,
        tls: SSL.Connection,
        raw: asyncio.Transport,
        protocol: asyncio.Protocol,
        peer_chain: Sequence[x509.Certificate],
    ) -> None:
        # "sslcontext" is how aiohttp tells https from http.
        super().__init__({"peer_chain": list(peer_chain), "sslcontext": tls.get_context()})
        self._tls = tls
        self._raw = raw
        self._protocol = protocol
        self._reading = True
        self._input_ended = False
        self._output_ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peer_chain`, `sslcontext`, and what the socket's transport knows."""
        own = super().get_extra_info(name)
        return self._raw.get_extra_info(name, default) if own is None else own

    def get_protocol(self) -> asyncio.Protocol:
        """The endpoint's protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replaces the endpoint's protocol."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def is_reading(self) -> bool:
        """Whether the protocol takes data at present."""
        return self._reading and not self.is_closing()

    def pause_reading(self) -> None:
        """No data until `resume_reading`; at most one read of the socket waits decrypted or not."""
        self._reading = False
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Delivers what has waited, then reads on."""
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._resume)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Encrypts and sends."""
        if self._output_ended or self.is_closing():
            return
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._tls.send(rest) :]  # a record at a time: the context allows partial writes
            _flush(self._tls, self._raw)

    def can_write_eof(self) -> bool:
        """True: the answer's end can be told while the request is still read."""
        return True

    def write_eof(self) -> None:
        """Says that nothing more will be written, and goes on reading."""
        if not self._output_ended and not self.is_closing():
            self._say_goodbye()
            self._raw.write_eof()

    def is_closing(self) -> bool:
        """Whether the connection is closing or closed."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Sends what is buffered and TLS's close_notify, then closes."""
        if not self.is_closing():
            self._say_goodbye()
            self._raw.close()

    def abort(self) -> None:
        """Closes at once; what is buffered is lost."""
        self._raw.abort()

    def get_write_buffer_size(self) -> int:
        """Octets that wait to be sent."""
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The water marks (low, high) in octets."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Sets the water marks at which the protocol is told to pause and resume."""
        self._raw.set_write_buffer_limits(high, low)

    def deliver(self) -> None:
        """Hands the protocol what has arrived, for as long as it takes it."""
        try:
            while self.is_reading() and not self._input_ended:
                self._protocol.data_received(self._tls.recv(_CHUNK))
        except SSL.WantReadError:
            _flush(self._tls, self._raw)  # TLS 1.3 may answer by itself (key update)
        except SSL.ZeroReturnError:
            if not self.end_of_input():
                self.close()
        except SSL.Error as problem:
            _log.debug("TLS with %s broke: %r", self.get_extra_info("peername"), problem)
            _flush(self._tls, self._raw)
            self.abort()

    def end_of_input(self) -> bool:
        """Tells the protocol once that the peer will send no more; True where it wants to go on writing."""
        if self._input_ended:
            return not self.is_closing()
        self._input_ended = True
        return bool(self._protocol.eof_received())

    def lost(self, problem: Exception | None) -> None:
        """The socket is gone."""
        self._protocol.connection_lost(problem)

    def _resume(self) -> None:
        self.deliver()
        if self.is_reading():
            self._raw.resume_reading()

    def _say_goodbye(self) -> None:
        if not self._output_ended:
            self._output_ended = True
            self._tls.shutdown()
            _flush(self._tls, self._raw)


def _presented_chain(tls: SSL.Connection) -> list[x509.Certificate]:
    leaf = tls.get_peer_certificate(as_cryptography=True)
    if leaf is None:
        return []
    # On a server OpenSSL leaves the leaf out of the chain (SSL_get_peer_cert_chain(3)).
    return [leaf, *(tls.get_peer_cert_chain(as_cryptography=True) or ())]


def _flush(tls: SSL.Connection, raw: asyncio.Transport) -> None:
    while True:
        try:
            records = tls.bio_read(_CHUNK)
        except SSL.WantReadError:
            return
        raw.write(records)
