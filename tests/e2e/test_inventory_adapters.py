"""The adapters that list the hub's twins and DPS's registrations, against the local Azure, by managed identity."""

from __future__ import annotations

import asyncio
import base64
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.iot.device import ProvisioningDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from support.fakes import NOON
from support.hub_clients import operational_credentials

from shared.adapters import dps, hub_query
from shared.adapters.dps import Enrollments
from shared.adapters.dps_inventory import DpsInventory
from shared.adapters.hub_query import HubQuery
from shared.domain.inventory import EnrollmentGroup, Registration
from shared.domain.parsing import read_tags, read_twin
from shared.services.ports import Credential
from shared.services.reconciling import ContinuationExpired


@pytest.fixture(scope="module", autouse=True)
def trust(azure: dict[str, Any]) -> Iterator[None]:
    """aiohttp reads SSL_CERT_FILE once, when it is imported: here that may have been before there was a local Azure."""
    with pytest.MonkeyPatch.context() as patch:
        context = ssl.create_default_context(cafile=azure["ca_bundle"])
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
        yield


@pytest.fixture(scope="module")
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
async def hub(azure: dict[str, Any]) -> AsyncIterator[HubQuery]:
    hub = HubQuery(azure["iothub_hostname"], ManagedIdentityCredential())
    yield hub
    await hub.close()


@pytest.fixture
async def inventory(azure: dict[str, Any]) -> AsyncIterator[DpsInventory]:
    async with AsyncManagedIdentityCredential() as credential:
        inventory = DpsInventory(azure["dps_endpoint"].removeprefix("https://"), credential)
        yield inventory
        await inventory.close()


async def test_every_twin_is_listed_once_page_by_page(
    hub: HubQuery, registry: IoTHubRegistryManager, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub_query, "PAGE", 2)
    made = {f"listed-{uuid.uuid4().hex[:8]}" for _ in range(5)}
    for device_id in made:
        registry.create_device_with_certificate_authority(device_id, "enabled")
    listed: list[str] = []
    continuation: str | None = None
    while True:
        twins, continuation = await hub.page(continuation)
        assert len(twins) <= 2
        listed += [str(twin["deviceId"]) for twin in twins]
        if continuation is None:
            break
    assert made <= set(listed)
    assert len(listed) == len(set(listed))
    assert await hub.count() == len(registry.get_devices(1000))


async def test_a_listed_twin_says_what_a_twin_that_is_read_says(hub: HubQuery, registry: IoTHubRegistryManager):
    device_id = f"listed-{uuid.uuid4().hex[:8]}"
    registry.create_device_with_certificate_authority(device_id, "disabled")
    registry.update_twin(device_id, Twin(tags={"site": "Bern"}))
    twins, _ = await hub.page(None)
    listed = next(twin for twin in twins if twin["deviceId"] == device_id)
    assert listed["status"] == "disabled"
    assert listed == await hub.get_twin(device_id)
    origin = {"device_id": device_id, "hub": "localhost", "event_id": "e", "at": NOON}
    assert read_tags(listed, **origin).tags == {"site": "Bern"}
    assert read_twin(listed, **origin).version == 1


async def test_groups_and_registrations_are_listed_with_what_they_issue(
    azure: dict[str, Any], inventory: DpsInventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dps, "PAGE", 1)
    ids = [f"registered-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for device_id in ids:
        operational_credentials(azure, device_id, tmp_path)
    assert EnrollmentGroup(id="fleet", attestation="x509", credential_policy="default") in await inventory.list()
    listed: list[Registration] = []
    continuation: str | None = None
    while True:
        registrations, continuation = await inventory.registrations("fleet", continuation)
        listed += registrations
        if continuation is None:
            break
    for device_id in ids:
        assert Registration(registration_id=device_id, device_id=device_id, hub="localhost") in listed


def registered(azure: dict[str, Any], registration_id: str, key: str) -> str:
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host="localhost",
        registration_id=registration_id,
        id_scope=azure["dps_id_scope"],
        symmetric_key=key,
        server_verification_cert=Path(azure["ca_bundle"]).read_text(),
    )
    return str(client.register().status)


async def test_individual_enrollments_are_listed_once_they_are_assigned_and_blocks_are_not(
    azure: dict[str, Any], inventory: DpsInventory, tmp_path: Path
):
    alone, blocked, waiting = (f"alone-{uuid.uuid4().hex[:8]}" for _ in range(3))
    operational_credentials(azure, blocked, tmp_path)
    await Enrollments(inventory).create_block(blocked, Credential("unknown"), "the occasion")
    key = base64.b64encode(uuid.uuid4().bytes * 4).decode()
    attestation = {"type": "symmetricKey", "symmetricKey": {"primaryKey": key, "secondaryKey": key}}
    for device_id in (alone, waiting):
        document = {"registrationId": device_id, "attestation": attestation, "credentialPolicyName": "default"}
        await inventory.put("enrollments", device_id, document=document)
    assert await asyncio.to_thread(registered, azure, alone, key) == "assigned"
    listed, _ = await inventory.individuals(None)
    ours = [r for r in listed if r.registration_id in (alone, blocked, waiting)]
    assert ours == [Registration(registration_id=alone, device_id=alone, hub="localhost", credential_policy="default")]


async def test_the_signing_certificate_of_a_group_is_described(azure: dict[str, Any], inventory: DpsInventory):
    pem = await asyncio.to_thread(Path(azure["onboarding"]["ca_cert"]).read_text)
    onboarding = x509.load_pem_x509_certificate(pem.encode())
    group = f"inline-{uuid.uuid4().hex[:8]}"
    attestation = {"type": "x509", "x509": {"signingCertificates": {"primary": {"certificate": pem}}}}
    document = {"enrollmentGroupId": group, "attestation": attestation, "provisioningStatus": "disabled"}
    await inventory.put("enrollmentGroups", group, document=document)
    [described] = [c for c in await inventory.listed() if c.name.startswith(group)]
    assert described.name == f"{group}/primary"
    assert described.thumbprint == onboarding.fingerprint(hashes.SHA256()).hex()
    assert (described.not_before, described.not_after) == (
        onboarding.not_valid_before_utc,
        onboarding.not_valid_after_utc,
    )


async def test_a_continuation_that_is_refused_asks_for_the_start(inventory: DpsInventory):
    with pytest.raises(ContinuationExpired):
        await inventory.registrations("fleet", "no number")
