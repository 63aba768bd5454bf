"""The TLS server that lets the endpoint judge client certificates, met by the standard library's own client."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl

import aiohttp
import pytest
from aiohttp import web
from support.tls_server import Pki, Recorder, create_pki, serving, streams

from fleetcert.certificates import thumbprint
from fleetcert.local import tls

FIVE_MEGABYTES = 5 * 1024 * 1024


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return create_pki(tmp_path_factory.mktemp("pki"))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100_000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _describe_chain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(" ".join(thumbprint(c) for c in writer.get_extra_info("peer_chain")).encode())
    writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("certificate", [True, False])
async def test_five_megabytes_go_both_ways(pki: Pki, version: ssl.TLSVersion, certificate: bool):
    sent = bytes(range(256)) * (FIVE_MEGABYTES // 256)
    async with serving(pki, streams(_echo)) as port:
        client = pki.client(certificate=certificate, version=version)
        reader, writer = await asyncio.open_connection("localhost", port, ssl=client)
        writer.write(sent)
        received = await reader.readexactly(len(sent))
        writer.close()
        assert hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_endpoint_sees_the_chain_that_was_presented_even_of_a_stranger(pki: Pki, version: ssl.TLSVersion):
    async with serving(pki, streams(_describe_chain)) as port:
        client = pki.client(certificate=True, version=version)
        reader, _writer = await asyncio.open_connection("localhost", port, ssl=client)
        assert (await reader.read()).decode().split() == [thumbprint(c) for c in pki.client_chain]


async def test_a_second_connection_with_a_resumable_session_shows_its_chain_again(pki: Pki):
    def connect(port: int, session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        plain = socket.create_connection(("localhost", port))
        with client.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
            said = connection.recv(1000)
            return said, connection.session

    client = pki.client(certificate=True, version=ssl.TLSVersion.TLSv1_2)
    async with serving(pki, streams(_describe_chain)) as port:
        _, session = await asyncio.to_thread(connect, port, None)
        again, _ = await asyncio.to_thread(connect, port, session)
        assert again.decode().split() == [thumbprint(c) for c in pki.client_chain]


async def test_a_client_without_a_certificate_has_an_empty_chain(pki: Pki):
    async with serving(pki, streams(_describe_chain)) as port:
        reader, _writer = await asyncio.open_connection("localhost", port, ssl=pki.client(certificate=False))
        assert await reader.read() == b""


async def test_garbage_instead_of_a_handshake_closes_quietly(pki: Pki, caplog: pytest.LogCaptureFixture):
    made: list[Recorder] = []
    async with serving(pki, lambda: made.append(Recorder()) or made[-1]) as port:
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(2):
            await reader.read()
        writer.close()
    assert made == []
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []


async def test_a_silent_client_is_dropped_at_the_end_of_its_time(pki: Pki, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.05)
    async with serving(pki, Recorder) as port:
        reader, _writer = await asyncio.open_connection("localhost", port)
        async with asyncio.timeout(2):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(1)


async def test_a_paused_endpoint_is_not_fed_and_holds_its_client_back_and_loses_nothing(pki: Pki):
    much = 4 * FIVE_MEGABYTES  # more than the sockets of both sides buffer
    endpoint = Recorder(expected=much)
    async with serving(pki, lambda: endpoint) as port:
        _reader, writer = await asyncio.open_connection("localhost", port, ssl=pki.client(certificate=False))
        async with asyncio.timeout(5):
            transport = await endpoint.opened
            transport.pause_reading()
            for _ in range(2):  # the first fills asyncio's and the kernel's buffers at a stroke
                writer.write(bytes(much // 2))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.2)
            assert endpoint.received == b""
            transport.resume_reading()
            await endpoint.complete.wait()
        writer.close()


async def test_an_endpoint_that_pauses_amid_what_arrived_gets_the_rest_when_it_resumes(pki: Pki):
    endpoint = Recorder(expected=100_000, pauses_after_each=True)
    async with serving(pki, lambda: endpoint) as port:
        _reader, writer = await asyncio.open_connection("localhost", port, ssl=pki.client(certificate=False))
        writer.write(bytes(100_000))
        async with asyncio.timeout(5):
            transport = await endpoint.opened
            while not endpoint.complete.is_set():
                transport.resume_reading()
                await asyncio.sleep(0)
        assert set(endpoint.events) == {"wanted"}
        assert len(endpoint.events) > 1
        writer.close()


async def test_an_endpoint_that_goes_on_writing_hears_of_the_end_once(pki: Pki):
    endpoint = Recorder(goes_on_writing=True)
    async with serving(pki, lambda: endpoint) as port:
        await asyncio.to_thread(_say_goodbye_twice, pki, port)
        async with asyncio.timeout(2):
            transport = await endpoint.opened
            await asyncio.sleep(0.05)
            assert endpoint.events == ["eof"]
            transport.close()
            await endpoint.closed.wait()


def _say_goodbye_twice(pki: Pki, port: int) -> None:
    """TLS's close_notify, then TCP's end of input."""
    plain = socket.create_connection(("localhost", port))
    connection = pki.client(certificate=False).wrap_socket(plain, server_hostname="localhost")
    connection.settimeout(0.05)
    with pytest.raises(TimeoutError):  # nobody answers the goodbye
        connection.unwrap()
    connection.close()


async def test_an_endpoint_that_writes_faster_than_its_client_reads_is_told_to_pause(pki: Pki):
    endpoint = Recorder()
    async with serving(pki, lambda: endpoint) as port:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=pki.client(certificate=False))
        async with asyncio.timeout(5):
            transport = await endpoint.opened
            transport.write(bytes(2 * FIVE_MEGABYTES))
            assert endpoint.events == ["pause"]
            await reader.readexactly(2 * FIVE_MEGABYTES)
            assert endpoint.events == ["pause", "resume"]
        writer.close()


async def test_the_end_of_the_clients_input_is_told_once_and_closes(pki: Pki):
    endpoint = Recorder()
    async with serving(pki, lambda: endpoint) as port:
        _reader, writer = await asyncio.open_connection("localhost", port, ssl=pki.client(certificate=False))
        writer.write(b"the last word")
        writer.close()
        async with asyncio.timeout(2):
            await endpoint.closed.wait()
    assert (endpoint.events, bytes(endpoint.received)) == (["eof"], b"the last word")


async def test_the_endpoint_ends_its_output_and_goes_on_reading(pki: Pki):
    received = asyncio.get_running_loop().create_future()

    async def answer_then_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"all that I have to say")
        writer.write_eof()
        received.set_result(await reader.readexactly(5))
        writer.close()

    async with serving(pki, streams(answer_then_listen)) as port:
        plain = await asyncio.to_thread(_half_closing_client, pki, port)
        assert plain == b"all that I have to say"
        assert await asyncio.wait_for(received, 2) == b"still"


def _half_closing_client(pki: Pki, port: int) -> bytes:
    plain = socket.create_connection(("localhost", port))
    with pki.client(certificate=False).wrap_socket(plain, server_hostname="localhost") as connection:
        said = b"".join(iter(lambda: connection.recv(1000), b""))
        connection.sendall(b"still")
        return said


async def test_aiohttp_serves_https_through_it_and_reaches_the_chain(pki: Pki):
    async def describe(request: web.Request) -> web.Response:
        assert request.transport is not None
        chain = request.transport.get_extra_info("peer_chain")
        body = await request.read()
        return web.json_response({"scheme": request.scheme, "chain": len(chain), "octets": len(body)})

    application = web.Application(client_max_size=2 * FIVE_MEGABYTES)
    application.router.add_post("/", describe)
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    async with serving(pki, runner.server) as port, aiohttp.ClientSession() as session:
        for _ in range(2):
            answer = await session.post(
                f"https://localhost:{port}/", data=bytes(FIVE_MEGABYTES), ssl=pki.client(certificate=True)
            )
            assert await answer.json() == {"scheme": "https", "chain": 2, "octets": FIVE_MEGABYTES}
    await runner.cleanup()
