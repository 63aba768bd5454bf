"""The ADR adapter on the third generation's wire, of which neither Azure nor an emulator was at hand: decision 0009."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from support.registry_devices import NAMESPACE, RegistryDevices
from support.tls_server import create_pki

from shared.adapters.adr import GENERATIONS, LOOKS, AdrNamespace
from shared.adapters.faults import RequestRejected
from shared.errors import InfrastructureFault
from shared.services.ports import RegistryDevice, RevocationOutcome


class Token:
    """A credential whose token is always the same."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("a-token", int((datetime.now(UTC) + timedelta(hours=1)).timestamp()))

    async def close(self) -> None: ...

    async def __aenter__(self) -> Token:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture
def wire() -> RegistryDevices:
    return RegistryDevices()


@pytest.fixture
async def namespace(wire: RegistryDevices, tmp_path: Path) -> AsyncIterator[AdrNamespace]:
    pki = create_pki(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.server)
    runner = web.AppRunner(wire.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    endpoint = f"https://localhost:{runner.addresses[0][1]}"
    with pytest.MonkeyPatch.context() as patch:  # aiohttp reads SSL_CERT_FILE once, when it is imported
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", pki.client(certificate=False))
        namespace = AdrNamespace(endpoint, NAMESPACE, GENERATIONS["3"], Token())
        yield namespace
        await namespace.close()
    await runner.cleanup()


async def test_a_device_is_found_by_its_name_or_by_the_id_that_it_stands_for(
    namespace: AdrNamespace, wire: RegistryDevices
) -> None:
    wire.add("dev-1", "dev-1")
    wire.add("other", "x")
    wire.add("named-by-azure", "dev:2", "Disabled")
    assert await namespace.find("dev-1") == RegistryDevice("dev-1", enabled=True)
    assert await namespace.find("dev:2") == RegistryDevice("named-by-azure", enabled=False)  # on the second page
    assert await namespace.find("nobody") is None


async def test_a_resource_that_bears_the_id_and_stands_for_another_device_is_not_taken(
    namespace: AdrNamespace, wire: RegistryDevices
) -> None:
    wire.add("dev-1", "somebody-else")
    wire.add("d1", "dev-1")
    assert await namespace.find("dev-1") == RegistryDevice("d1", enabled=True)


async def test_a_device_is_disabled_and_enabled_when_adr_says_that_it_is_done(
    namespace: AdrNamespace, wire: RegistryDevices
) -> None:
    wire.add("dev-1", "dev-1")
    device = RegistryDevice("dev-1", enabled=True)
    await namespace.set_enabled(device, enabled=False)
    assert wire.devices["dev-1"]["enablementState"] == "Disabled"
    await namespace.set_enabled(device, enabled=True)
    assert wire.devices["dev-1"]["enablementState"] == "Enabled"


async def test_a_change_that_does_not_come_to_its_end_in_time_is_a_fault(
    namespace: AdrNamespace, wire: RegistryDevices
) -> None:
    wire.add("dev-1", "dev-1")
    wire.looks = LOOKS
    with pytest.raises(InfrastructureFault, match="is being changed still"):
        await namespace.set_enabled(RegistryDevice("dev-1", enabled=True), enabled=False)


async def test_the_certificates_of_every_profile_that_adr_issues_for_are_revoked(
    namespace: AdrNamespace, wire: RegistryDevices
) -> None:
    profiles = {"first": "CertificateAuthority", "keys": "SymmetricKey", "second": "CertificateAuthority"}
    wire.add("dev-1", "dev-1", **profiles)
    monitor = await namespace.revoke(RegistryDevice("dev-1", enabled=True))
    assert len(monitor.split()) == 2
    assert await namespace.outcome(monitor) == RevocationOutcome(is_done=True)
    assert wire.revoked == [("dev-1", "first"), ("dev-1", "second")]


async def test_a_revocation_that_takes_its_time_is_not_done_yet(namespace: AdrNamespace, wire: RegistryDevices) -> None:
    wire.add("dev-1", "dev-1")
    wire.looks = LOOKS
    monitor = await namespace.revoke(RegistryDevice("dev-1", enabled=True))
    assert await namespace.outcome(monitor) == RevocationOutcome(is_done=False)
    assert await namespace.outcome(monitor) == RevocationOutcome(is_done=True)


async def test_a_revocation_that_fails_says_why(namespace: AdrNamespace, wire: RegistryDevices) -> None:
    wire.add("dev-1", "dev-1")
    wire.failure = {"code": "ResourceNotFound", "message": "no certificates"}
    monitor = await namespace.revoke(RegistryDevice("dev-1", enabled=True))
    outcome = await namespace.outcome(monitor)
    assert outcome == RevocationOutcome(is_done=True, failure="ResourceNotFound: no certificates")


async def test_our_token_travels_to_no_other_host(namespace: AdrNamespace) -> None:
    with pytest.raises(RequestRejected, match="another host"):
        await namespace.outcome("https://example.org/operationResults/1")
