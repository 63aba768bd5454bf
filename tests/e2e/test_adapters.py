"""The app's adapters against the local Azure, by managed identity, as they run in Azure."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import httpx
import pytest
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager
from cryptography.hazmat.primitives.asymmetric import ec
from support.hub_clients import CLIENT, eventually, onboarding_authority

from fleetcert.certificates import pem_chain
from shared.adapters.alerts import EventGridAlerts
from shared.adapters.commands import CloudToDeviceSender
from shared.adapters.dps import Enrollments, ServiceApi
from shared.adapters.iothub import IotHub
from shared.contracts import RenewCertificate
from shared.domain.alerts import Alert
from shared.domain.own_certificate import leaf_of
from shared.domain.record import Before
from shared.domain.status_reason import status_reason
from shared.errors import (
    CommandRefused,
    Conflict,
    EnrollmentRefused,
    FleetcertError,
    InfrastructureFault,
    NotFound,
)
from shared.services.ports import Credential

SOURCE = "/subscriptions/s/providers/Microsoft.Devices/IotHubs/adapters"
QUEUE_DEPTH = 50


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
def device_id(registry: IoTHubRegistryManager) -> str:
    """A new device."""
    name = f"adapter-{uuid.uuid4().hex[:8]}"
    registry.create_device_with_certificate_authority(name, "enabled")
    return name


@pytest.fixture
async def credential(azure: dict[str, Any]) -> AsyncIterator[AsyncManagedIdentityCredential]:
    async with AsyncManagedIdentityCredential() as credential:
        yield credential


@pytest.fixture
async def hub(azure: dict[str, Any]) -> AsyncIterator[IotHub]:
    hub = IotHub(azure["iothub_hostname"], ManagedIdentityCredential())
    yield hub
    await hub.close()


@pytest.fixture
async def sender(azure: dict[str, Any]) -> AsyncIterator[CloudToDeviceSender]:
    sender = CloudToDeviceSender(azure["iothub_hostname"], ManagedIdentityCredential())
    yield sender
    await sender.close()


@pytest.fixture
async def api(azure: dict[str, Any], credential: AsyncManagedIdentityCredential) -> AsyncIterator[ServiceApi]:
    api = ServiceApi(azure["dps_endpoint"].removeprefix("https://"), credential)
    yield api
    await api.close()


@pytest.fixture
def enrollments(api: ServiceApi) -> Enrollments:
    return Enrollments(api)


@pytest.fixture
def registration_id() -> str:
    return f"blocked-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def delivered(azure: dict[str, Any]) -> Iterator[Any]:
    """Looks up the CloudEvents of one source that Event Grid has received."""
    with httpx.Client() as client:

        def look(source: str) -> list[dict[str, Any]]:
            events = client.get(azure["eventgrid_log_url"]).raise_for_status().json()
            return [event for event in events if event["source"] == source]

        yield look


def command(device_id: str) -> RenewCertificate:
    now = datetime.now(UTC)
    return RenewCertificate(
        command_id=str(uuid.uuid4()),
        device_id=device_id,
        reason="windowOpen",
        thumbprint="aa" * 32,
        valid_until=now + timedelta(days=1),
        renew_by=now + timedelta(hours=1),
    )


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def onboarding_pem(azure: dict[str, Any], registration_id: str) -> str:
    now = datetime.now(UTC).replace(microsecond=0)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    authority = onboarding_authority(azure)
    leaf = authority.issue_leaf(registration_id, key, CLIENT, not_before=now, not_after=now + timedelta(days=1))
    return pem_chain([leaf, authority.certificate]).decode()


async def test_an_identity_is_disabled_and_nothing_else_of_it_changes(hub: IotHub, device_id: str):
    before = await hub.get_identity(device_id)
    assert before is not None
    assert (before.status, before.connected) == ("enabled", False)
    await hub.set_status(before, "disabled", "fleetcert: stolen")
    after = await hub.get_identity(device_id)
    assert after is not None
    assert (after.status, after.status_reason) == ("disabled", "fleetcert: stolen")
    changed = {name for name in before.document if before.document[name] != after.document[name]}
    assert changed <= {"status", "statusReason", "statusUpdatedTime", "etag"}


@pytest.mark.parametrize("reason", ["x" * 300, "ü" * 200, "🛰" * 200])
async def test_iot_hub_takes_a_reason_as_it_is_cut_and_not_one_character_more(hub: IotHub, device_id: str, reason: str):
    identity = await hub.get_identity(device_id)
    assert identity is not None
    disabled = await hub.set_status(identity, "disabled", status_reason(reason))
    assert disabled.status_reason == status_reason(reason)
    with pytest.raises(FleetcertError, match="400"):
        await hub.set_status(disabled, "disabled", "x" * 129)


async def test_messages_that_wait_for_a_device_are_purged(hub: IotHub, sender: CloudToDeviceSender, device_id: str):
    for _ in range(3):
        await sender.send(command(device_id), in_an_hour())
    assert await hub.purge_commands(device_id) == 3
    assert await hub.purge_commands(device_id) == 0
    assert await hub.purge_commands("nobody") == 0


async def test_an_identity_that_changed_meanwhile_is_a_conflict(hub: IotHub, device_id: str):
    read = await hub.get_identity(device_id)
    assert read is not None
    await hub.set_status(read, "disabled", "first")
    with pytest.raises(Conflict):
        await hub.set_status(read, "enabled", "second")


async def test_what_the_hub_does_not_know_is_nothing(hub: IotHub, registry: IoTHubRegistryManager, device_id: str):
    assert await hub.get_identity("nobody") is None
    assert await hub.get_twin("nobody") is None
    read = await hub.get_identity(device_id)
    assert read is not None
    registry.delete_device(device_id)
    with pytest.raises((NotFound, Conflict)):  # Azure's table of preconditions says 412 here
        await hub.set_status(read, "disabled", "gone")


async def test_a_twin_is_read_whole(hub: IotHub, device_id: str):
    twin = await hub.get_twin(device_id)
    assert twin is not None
    assert twin["deviceId"] == device_id
    assert "$version" in twin["properties"]["reported"]


async def test_a_hub_that_does_not_answer_is_an_infrastructure_fault(azure: dict[str, Any]):
    nowhere = IotHub("localhost:9", ManagedIdentityCredential())
    with pytest.raises(InfrastructureFault):
        await nowhere.get_identity("dev-1")


async def test_commands_wait_for_their_device_until_its_queue_is_full(sender: CloudToDeviceSender, device_id: str):
    for _ in range(QUEUE_DEPTH):
        await sender.send(command(device_id), in_an_hour())
    with pytest.raises(CommandRefused) as refused:
        await sender.send(command(device_id), in_an_hour())
    assert refused.value.condition == "queue-full"


async def test_an_unknown_and_a_disabled_device_are_out_of_reach(
    sender: CloudToDeviceSender, hub: IotHub, device_id: str
):
    identity = await hub.get_identity(device_id)
    assert identity is not None
    await hub.set_status(identity, "disabled", "test")
    for target in ("nobody", device_id):
        with pytest.raises(CommandRefused) as refused:
            await sender.send(command(target), in_an_hour())
        assert refused.value.condition == "unreachable"


async def test_a_refused_command_leaves_the_link_usable(sender: CloudToDeviceSender, device_id: str):
    with pytest.raises(CommandRefused):
        await sender.send(command("nobody"), in_an_hour())
    await sender.send(command(device_id), in_an_hour())


async def test_a_wrong_token_is_an_infrastructure_fault_and_not_the_devices(azure: dict[str, Any], device_id: str):
    class Stranger:
        def get_token(self, *scopes: str, **_: Any) -> Any:
            return ManagedIdentityCredential().get_token("https://eventgrid.azure.net/.default")

    sender = CloudToDeviceSender(azure["iothub_hostname"], Stranger())
    with pytest.raises(InfrastructureFault):
        await sender.send(command(device_id), in_an_hour())
    await sender.close()


async def test_a_registration_is_blocked_by_one_certificate_or_two(
    azure: dict[str, Any], enrollments: Enrollments, api: ServiceApi, registration_id: str
):
    assert await enrollments.enrollment(registration_id) is None
    assert not await enrollments.is_blocked(registration_id)
    leaves = tuple(leaf_of(onboarding_pem(azure, registration_id), registration_id) for _ in range(2))
    block = await enrollments.create_block(registration_id, Credential("x509", leaves), "the occasion")
    assert (block.attestation, block.status, block.mark) == ("x509", Before.DISABLED, "the occasion")
    assert await enrollments.is_blocked(registration_id)
    assert await enrollments.enrollment(registration_id) == block
    certificates = block.document["attestation"]["x509"]["clientCertificates"]
    assert certificates.keys() == {"primary", "secondary"}
    with pytest.raises(Conflict):
        await enrollments.create_block(registration_id, Credential("unknown"), "another")


async def test_a_placeholder_gives_way_to_the_certificate_in_its_place(
    azure: dict[str, Any], enrollments: Enrollments, registration_id: str
):
    placeholder = await enrollments.create_block(registration_id, Credential("unknown"), "m")
    assert placeholder.attestation == "symmetricKey"
    known = Credential("x509", (leaf_of(onboarding_pem(azure, registration_id), registration_id),))
    block = await enrollments.rewrite_block(placeholder, known, "m")
    assert (block.attestation, block.mark) == ("x509", "m")
    with pytest.raises(Conflict):
        await enrollments.rewrite_block(placeholder, known, "m")


async def test_what_dps_does_not_take_is_refused_by_name(enrollments: Enrollments, registration_id: str):
    rubbish = Credential("x509", ("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n",))
    with pytest.raises(EnrollmentRefused, match=registration_id):
        await enrollments.create_block(registration_id, rubbish, "m")
    placeholder = await enrollments.create_block(registration_id, Credential("unknown"), "m")
    with pytest.raises(EnrollmentRefused, match=registration_id):
        await enrollments.rewrite_block(placeholder, rubbish, "m")


async def test_a_block_is_removed_only_as_it_was_read(enrollments: Enrollments, registration_id: str):
    block = await enrollments.create_block(registration_id, Credential("unknown"), "m")
    changed = await enrollments.set_enrollment_status(block, Before.ENABLED)
    with pytest.raises(Conflict):
        await enrollments.remove(block)
    await enrollments.remove(changed)
    assert await enrollments.enrollment(registration_id) is None
    await enrollments.remove(changed)


async def test_a_block_by_the_groups_key_has_the_key_that_the_device_has(
    enrollments: Enrollments, api: ServiceApi, registration_id: str
):
    group, raw = f"keys-{registration_id}", uuid.uuid4().bytes * 2
    key = base64.b64encode(raw).decode()
    attestation = {"type": "symmetricKey", "symmetricKey": {"primaryKey": key, "secondaryKey": key}}
    await api.put("enrollmentGroups", group, document={"enrollmentGroupId": group, "attestation": attestation})
    assert await enrollments.group_attestation(group) == "symmetricKey"
    await enrollments.create_block(registration_id, Credential("symmetricKey", group=group), "m")
    mechanism = await api.post("enrollments", registration_id, "attestationmechanism")
    own = base64.b64encode(hmac.digest(raw, registration_id.encode(), "sha256")).decode()
    assert mechanism["symmetricKey"] == {"primaryKey": own, "secondaryKey": own}


async def test_an_enrollment_that_exists_is_disabled_and_enabled_in_place_and_keeps_its_keys(
    enrollments: Enrollments, api: ServiceApi, registration_id: str
):
    keys = {name: base64.b64encode(name.encode() * 4).decode() for name in ("primaryKey", "secondaryKey")}
    attestation = {"type": "symmetricKey", "symmetricKey": keys}
    document = {
        "registrationId": registration_id,
        "deviceId": "another-name",
        "attestation": attestation,
        "credentialPolicyName": "default",
    }
    await api.put("enrollments", registration_id, document=document)
    standing = await enrollments.enrollment(registration_id)
    assert standing is not None
    assert (standing.status, standing.mark) == (Before.ENABLED, "")
    disabled = await enrollments.set_enrollment_status(standing, Before.DISABLED)
    with pytest.raises(Conflict):
        await enrollments.set_enrollment_status(standing, Before.DISABLED)
    for status, enrollment in (("disabled", disabled), ("enabled", None)):
        if enrollment is None:
            await enrollments.set_enrollment_status(disabled, Before.ENABLED)
        kept = await api.get("enrollments", registration_id)
        assert kept is not None
        assert (kept["provisioningStatus"], kept["deviceId"]) == (status, "another-name")
        assert kept["credentialPolicyName"] == "default"
        mechanism = await api.post("enrollments", registration_id, "attestationmechanism")
        assert mechanism["symmetricKey"] == keys


async def test_an_enrollment_by_certificate_keeps_it(
    azure: dict[str, Any], enrollments: Enrollments, api: ServiceApi, registration_id: str
):
    leaf = leaf_of(onboarding_pem(azure, registration_id), registration_id)
    attestation = {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": leaf}}}}
    document = {"registrationId": registration_id, "attestation": attestation}
    before = await api.put("enrollments", registration_id, document=document)
    standing = await enrollments.enrollment(registration_id)
    assert standing is not None
    disabled = await enrollments.set_enrollment_status(standing, Before.DISABLED)
    enabled = await enrollments.set_enrollment_status(disabled, Before.ENABLED)
    assert enabled.document["attestation"] == before["attestation"]


async def test_a_stale_etag_is_a_conflict(api: ServiceApi, enrollments: Enrollments, registration_id: str):
    await enrollments.create_block(registration_id, Credential("unknown"), "m")
    document = await api.get("enrollments", registration_id)
    assert document is not None
    with pytest.raises(Conflict):
        await api.put("enrollments", registration_id, document=document, etag="stale")


async def test_a_group_says_how_its_devices_prove_themselves(azure: dict[str, Any], enrollments: Enrollments):
    assert await enrollments.group_attestation(azure["onboarding"]["enrollment_group"]) == "x509"
    assert await enrollments.group_attestation("nowhere") is None
    assert await enrollments.enrollment_group_of("nobody") is None


async def test_alerts_arrive_as_cloud_events(
    azure: dict[str, Any], credential: AsyncManagedIdentityCredential, delivered: Any
):
    alerts = EventGridAlerts(azure["eventgrid_endpoint"], SOURCE, credential)
    told = [
        Alert(f"alert-{n}", "Fleetcert.Certificate.Issued", f"devices/d{n}", datetime.now(UTC), {"deviceId": f"d{n}"})
        for n in range(3)
    ]
    await alerts.publish(told)
    await alerts.publish([])
    await alerts.close()
    events = eventually(lambda: delivered(SOURCE))
    assert [(event["id"], event["subject"]) for event in events] == [(a.id, a.subject) for a in told]
    assert {event["specversion"] for event in events} == {"1.0"}
    assert {event["datacontenttype"] for event in events} == {"application/json"}
    assert json.loads(json.dumps(events[0]["data"])) == {"deviceId": "d0"}
