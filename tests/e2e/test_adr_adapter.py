"""The app's ADR adapter against the local Azure, which speaks the second generation as Microsoft's SDK does."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from azure.identity.aio import ManagedIdentityCredential
from support.hub_clients import PlainDevice, hub_rest, observed, operational_credentials

from shared.adapters.adr import GENERATIONS, AdrNamespace
from shared.errors import InfrastructureFault
from shared.services.ports import RegistryDevice, RevocationOutcome


@pytest.fixture
async def namespace(azure: dict[str, Any]) -> AsyncIterator[AdrNamespace]:
    settings = azure["settings"]
    with pytest.MonkeyPatch.context() as patch:
        context = ssl.create_default_context(cafile=azure["ca_bundle"])
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
        async with ManagedIdentityCredential() as credential:
            generation = GENERATIONS[settings["ADR_GENERATION"]]
            adr = AdrNamespace(settings["ARM_ENDPOINT"], settings["ADR_NAMESPACE_ID"], generation, credential)
            yield adr
            await adr.close()


@pytest.fixture
def device_id() -> str:
    return f"adr-{uuid.uuid4().hex[:8]}"


async def test_a_device_is_found_whatever_arm_calls_it(
    azure: dict[str, Any], namespace: AdrNamespace, device_id: str, tmp_path: Path
) -> None:
    dotted = f"{device_id}.v1"
    for name in (device_id, dotted):
        operational_credentials(azure, name, tmp_path)
    assert await namespace.find(device_id) == RegistryDevice(device_id, enabled=True)
    found = await namespace.find(dotted)
    assert found is not None
    assert found.name != dotted
    assert await namespace.find(f"{device_id}-nobody") is None


async def test_a_device_that_is_disabled_there_gets_no_certificate_until_it_is_enabled(
    azure: dict[str, Any], namespace: AdrNamespace, device_id: str, tmp_path: Path
) -> None:
    operational_credentials(azure, device_id, tmp_path)
    device = await namespace.find(device_id)
    assert device is not None
    await namespace.set_enabled(device, enabled=False)
    assert await namespace.find(device_id) == RegistryDevice(device_id, enabled=False)
    with pytest.raises(AssertionError, match="failed"):
        operational_credentials(azure, device_id, tmp_path)
    await namespace.set_enabled(device, enabled=True)
    operational_credentials(azure, device_id, tmp_path)


async def test_a_revoked_certificate_is_refused_by_the_hub_and_a_new_one_is_not(
    azure: dict[str, Any], namespace: AdrNamespace, device_id: str, tmp_path: Path
) -> None:
    old = operational_credentials(azure, device_id, tmp_path)
    device = await namespace.find(device_id)
    assert device is not None
    monitor = await namespace.revoke(device)
    assert await namespace.outcome(monitor) == RevocationOutcome(is_done=True)
    assert PlainDevice(azure, device_id, old).connect() != 0
    with hub_rest(azure) as rest:
        assert "revoked" in observed(rest, device_id)["refusals"][-1]["reason"]
    (tmp_path / "new").mkdir()
    with PlainDevice(azure, device_id, operational_credentials(azure, device_id, tmp_path / "new")):
        pass


async def test_a_revocation_that_adr_has_forgotten_has_failed(azure: dict[str, Any], namespace: AdrNamespace) -> None:
    arm = azure["arm_endpoint"]
    location = f"/subscriptions/{azure['subscription_id']}/providers/Microsoft.DeviceRegistry/locations/local"
    outcome = await namespace.outcome(f"{arm}{location}/operationResults/nothing?api-version=2026-03-01-preview")
    assert outcome.failure == "ADR does not know the request any more"


async def test_an_arm_that_does_not_answer_is_a_fault(azure: dict[str, Any]) -> None:
    async with ManagedIdentityCredential() as credential:
        nowhere = AdrNamespace(
            "https://localhost:9", azure["settings"]["ADR_NAMESPACE_ID"], GENERATIONS["2"], credential
        )
        with pytest.raises(InfrastructureFault):
            await nowhere.find("dev-1")
        await nowhere.close()


def test_arm_answers_no_version_that_it_does_not_know(azure: dict[str, Any]) -> None:
    """The emulator looks: the third generation's requests are refused, and not answered by the second."""
    url = f"{azure['arm_endpoint']}{azure['settings']['ADR_NAMESPACE_ID']}/registryDevices/dev-1"
    assert httpx.get(url, params={"api-version": "2026-11-02-preview"}).status_code >= 400
