"""The device's side of DPS over HTTPS, on a real wire: proxies, connections that the server ends, and silence."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from support.tls_server import Pki, create_pki

from fleetcert.certificates import der
from fleetcert.device import dps_https
from fleetcert.device.credential import OnboardingCredential, SymmetricKeyCredential
from fleetcert.device.dps_https import HttpsDps
from shared.errors import InfrastructureFault


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return create_pki(tmp_path_factory.mktemp("pki"))


@dataclass
class Seen:
    """What a server saw of one request."""

    method: str
    path: str
    body: bytes
    authorization: str | None
    connection: int
    certificate: bytes | None


@dataclass
class Server:
    """Answers 202, then whatever lies in `answers`."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    hangs_up_after_each: bool = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        server = cast("Any", self.server).said
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = cast("ssl.SSLSocket", self.connection)
        server.seen.append(
            Seen(
                self.command,
                self.path,
                body,
                self.headers["authorization"],
                id(self.connection),
                connection.getpeercert(binary_form=True),
            )
        )
        status, headers, answer = server.answers.pop(0)
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = server.hangs_up_after_each

    def do_PUT(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(pki: Pki, server: Server) -> Iterator[Server]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*pki.server)
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_verify_locations(cadata=_pem(pki))
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    cast("Any", listener).said = server
    server.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _pem(pki: Pki) -> str:
    return ssl.DER_cert_to_PEM_cert(der(pki.client_chain[1]))


@pytest.fixture
def server(pki: Pki) -> Iterator[Server]:
    with serving(pki, Server()) as running:
        yield running


@pytest.fixture
def dps(pki: Pki, server: Server) -> HttpsDps:
    leaf = pki.client_chain[0]
    onboarding = OnboardingCredential(pki.folder / "client.crt", pki.folder / "client.key", leaf)
    return HttpsDps(f"https://localhost:{server.port}/", "0ne 1", onboarding, pki.folder / "ca.crt")


def test_registering_and_polling_share_a_connection_and_show_the_certificate(
    dps: HttpsDps, server: Server, pki: Pki
) -> None:
    server.answers = [(202, {"retry-after": "3"}, b"{}"), (200, {}, b'{"status":"assigned"}')]
    with dps.connect("dev:1") as exchange:
        first = exchange.register(b"request")
        second = exchange.poll("5.a/b")
    assert (first.status, first.retry_after, second.status, second.retry_after) == (
        202,
        timedelta(seconds=3),
        200,
        None,
    )
    register, poll = server.seen
    assert (register.method, poll.method) == ("PUT", "GET")
    assert register.path == "/0ne%201/registrations/dev%3A1/register?api-version=2025-07-01-preview"
    assert poll.path == "/0ne%201/registrations/dev%3A1/operations/5.a%2Fb?api-version=2025-07-01-preview"
    assert json.loads(register.body) == {"registrationId": "dev:1", "csr": "cmVxdWVzdA=="}
    assert register.connection == poll.connection
    assert register.certificate == der(pki.client_chain[0])


def test_a_connection_that_the_server_ended_meanwhile_is_made_anew_for_a_poll(dps: HttpsDps, server: Server) -> None:
    server.answers, server.hangs_up_after_each = [(202, {}, b"{}"), (200, {}, b"{}")], True
    with dps.connect("dev-1") as exchange:
        exchange.register(b"request")
        assert exchange.poll("5").status == 200
    assert server.seen[0].connection != server.seen[1].connection


def test_a_symmetric_key_goes_along_as_a_token(dps: HttpsDps, server: Server) -> None:
    by_key = HttpsDps(dps.endpoint, dps.id_scope, SymmetricKeyCredential(bytes(32)), dps.ca_bundle)
    server.answers = [(202, {}, b"{}")]
    with by_key.connect("dev-1") as exchange:
        exchange.register(b"request")
    assert (server.seen[0].authorization or "").startswith(
        "SharedAccessSignature sr=0ne%201%2Fregistrations%2Fdev-1&sig="
    )
    assert server.seen[0].certificate is None


def test_an_answer_that_never_comes_is_a_fault(dps: HttpsDps, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dps_https, "_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = HttpsDps(f"https://localhost:{mute.getsockname()[1]}", "0ne", dps.onboarding, dps.ca_bundle)
        with silent.connect("dev-1") as exchange, pytest.raises(InfrastructureFault, match="DPS"):
            exchange.register(b"request")


@pytest.mark.parametrize("endpoint", ["http://localhost", "localhost:443", "https://", "https://nowhere.invalid"])
def test_an_endpoint_that_is_none_is_a_fault_and_never_plain_text(dps: HttpsDps, endpoint: str) -> None:
    def register() -> None:
        with HttpsDps(endpoint, "0ne", dps.onboarding, dps.ca_bundle).connect("dev-1") as exchange:
            exchange.register(b"request")

    with pytest.raises(InfrastructureFault):
        register()


def test_a_server_that_is_not_trusted_gets_nothing(dps: HttpsDps, server: Server, pki: Pki) -> None:
    wary = HttpsDps(dps.endpoint, dps.id_scope, dps.onboarding, pki.folder / "client.crt")
    with wary.connect("dev-1") as exchange, pytest.raises(InfrastructureFault, match="certificate verify failed"):
        exchange.register(b"request")
    assert server.seen == []


@contextmanager
def tunnelling() -> Iterator[tuple[int, list[str]]]:
    """A proxy that opens one tunnel and notes to where."""
    asked: list[str] = []

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        asked.append(head.split(b"\r\n")[0].decode())
        host, _, port = asked[0].split()[1].rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pumps = [threading.Thread(target=_pump, args=pair) for pair in ((client, server), (server, client))]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


def test_a_proxy_of_the_environment_is_tunnelled_end_to_end(
    dps: HttpsDps, server: Server, monkeypatch: pytest.MonkeyPatch, pki: Pki
) -> None:
    server.answers, server.hangs_up_after_each = [(202, {}, b"{}")], True
    with tunnelling() as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        with dps.connect("dev-1") as exchange:
            exchange.register(b"request")
    assert asked[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.")
    assert server.seen[0].certificate == der(pki.client_chain[0])


def test_a_host_that_needs_no_proxy_is_reached_directly(
    dps: HttpsDps, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [(202, {}, b"{}")]
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "localhost")
    with dps.connect("dev-1") as exchange:
        assert exchange.register(b"request").status == 202
