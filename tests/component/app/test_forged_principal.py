"""The probe after a deployment against the real app with nobody before it: the header arrives, and is believed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

PROBE = Path(__file__).parents[3] / "infra/hooks/probe.sh"
TENANT = "11111111-1111-1111-1111-111111111111"
FUNCTIONS = {"/api/devices": "list_devices", "/api/fleet/summary": "fleet_summary"}


@pytest.fixture
async def unguarded(fleet_app: Any) -> AsyncIterator[str]:
    """The app at an address where nobody strips headers."""

    async def handle(request: web.Request) -> web.Response:
        name = FUNCTIONS.get(request.path, "show_device")
        headers = {key.lower(): value for key, value in request.headers.items()}
        answer = await fleet_app.call(name, request.method, device_id="no-such-device", headers=headers)
        return web.Response(status=answer.status, body=answer.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def probed(url: str) -> int | None:
    environment = {"PATH": os.environ["PATH"], "PROBE_TRIES": "1", "NO_PROXY": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec("sh", PROBE, url, TENANT, env=environment)
    return await process.wait()


async def test_an_app_that_thinks_itself_guarded_and_is_not_is_found_out(unguarded: str):
    assert await probed(unguarded) == 3


async def test_an_app_that_knows_that_nobody_guards_it_believes_nobody(unguarded: str, environment: dict[str, str]):
    environment["WEBSITE_AUTH_ENABLED"] = "False"
    assert await probed(unguarded) == 0


async def test_a_principal_of_another_tenant_is_believed_nowhere(unguarded: str, environment: dict[str, str]):
    environment["FLEETCERT_TENANT_ID"] = "99999999-9999-9999-9999-999999999999"
    assert await probed(unguarded) == 0
