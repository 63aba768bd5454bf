"""The local Azure in both positions of everything that is assumed of Azure: the session's own, and one beside it."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.local_azure import start_up

from shared.composition import Composition
from shared.composition.services import Services

OTHER_POSITIONS = {
    "session_ends_with_certificate": False,
    "dps_log_shape": "single",
    "block_matches": "credential",
    "lifecycle_first": False,
}


@contextmanager
def local_azure_of_the_other_positions(folder: Path, validity_seconds: int) -> Iterator[dict[str, Any]]:
    """Its azure.json. It has ports of its own, so that no command reaches a device there: uamqp knows one port only."""
    ports = dict(zip(("MQTT_PORT", "AMQPS_PORT", "AMQP_PORT"), map(str, _free_ports(3)), strict=True))
    assumptions = json.dumps(OTHER_POSITIONS)
    settings = {"FEEDBACK": "off", "CONTAINMENT_LOOK_INTERVAL": "PT1S", "ASSUMPTIONS": assumptions}
    up = start_up(folder, VALIDITY=str(validity_seconds), **settings, **ports)
    try:
        yield up.wait_until_ready()
        assert up.stop() == 0, up.log.read_text()
    finally:
        up.stop(signal.SIGKILL)


@asynccontextmanager
async def services_of(azure: dict[str, Any]) -> AsyncIterator[Services]:
    """The app's services over that Azure, in this process, by the managed identity; its functions do queued work."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, member in (
            ("SSL_CERT_FILE", "ca_bundle"),
            ("REQUESTS_CA_BUNDLE", "ca_bundle"),
            ("IDENTITY_ENDPOINT", "identity_endpoint"),
            ("IDENTITY_HEADER", "identity_header"),
        ):
            patch.setenv(variable, azure[member])
        context = ssl.create_default_context(cafile=azure["ca_bundle"])
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)  # aiohttp reads it once, at import
        composition = Composition({**azure["settings"], "IDENTITY_ENDPOINT": azure["identity_endpoint"]})
        try:
            yield await composition.services()
        finally:
            await composition.close()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
