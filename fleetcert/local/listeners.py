"""The sockets of the local Azure: every emulated service on its port, for as long as a block runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from fleetcert.local.config import ADDRESS
from fleetcert.local.server_certificate import ServerCertificate
from fleetcert.local.services import LocalServices
from fleetcert.local.tls import ProtocolFactory, serve_tls

_SHUTDOWN_SECONDS: Final = 1.0


@asynccontextmanager
async def listening(services: LocalServices, certificate: ServerCertificate) -> AsyncIterator[None]:
    """Serves until the block ends. Raises: OSError for a port that somebody took meanwhile."""
    async with AsyncExitStack() as stack:
        await _serve_tls(stack, services.mqtt_server().protocol, services.fixed_ports.mqtt, certificate)
        await _serve_amqp(stack, services, certificate)
        for port, application in services.https_applications():
            runner = await _runner(stack, application)
            assert runner.server is not None
            await _serve_tls(stack, runner.server, port, certificate)
        for port, application in services.http_applications():
            await web.TCPSite(await _runner(stack, application), ADDRESS, port).start()
        yield


async def _serve_amqp(stack: AsyncExitStack, services: LocalServices, certificate: ServerCertificate) -> None:
    server, ports = services.amqp_server(), services.fixed_ports
    loop = asyncio.get_running_loop()
    for port, context in ((ports.amqp, None), (ports.amqps, certificate.context())):
        _end_with(stack, await loop.create_server(server.protocol, ADDRESS, port, ssl=context, backlog=256))


async def _serve_tls(
    stack: AsyncExitStack, protocol_factory: ProtocolFactory, port: int, certificate: ServerCertificate
) -> None:
    _end_with(stack, await serve_tls(protocol_factory, ADDRESS, port, certificate.certificate, certificate.key))


def _end_with(stack: AsyncExitStack, server: asyncio.Server) -> None:
    stack.callback(server.close_clients)
    stack.callback(server.close)


async def _runner(stack: AsyncExitStack, application: web.Application) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner
