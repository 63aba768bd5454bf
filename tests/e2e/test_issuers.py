"""Promise: issuing CAs are read from Azure Resource Manager as it lists them, and alerts are CloudEvents 1.0."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from azure.identity import ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.mgmt.deviceregistry import DeviceRegistryMgmtClient
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from support.fakes import FakeAlerts, FakeTable

from shared.adapters.alerts import EventGridAlerts
from shared.adapters.arm import DPS_API_VERSION, HUB_API_VERSION, ArmCertificates
from shared.clock import SystemClock
from shared.domain.alerts import device_alert
from shared.domain.ca_watch import ListedCertificate, Source
from shared.domain.fleet_alerts import FleetAlertType
from shared.errors import InfrastructureFault
from shared.services.issuers import IssuerWatch, TrustedIssuers
from shared.services.telling import digest

ARM_SCOPE = "https://management.azure.com/.default"
PATIENCE_SECONDS = 20


@pytest.fixture
def arm(azure: dict[str, Any]) -> Iterator[httpx.Client]:
    """Azure Resource Manager, as any client calls it."""
    token = ManagedIdentityCredential().get_token(ARM_SCOPE).token
    with httpx.Client(
        base_url=azure["arm_endpoint"], headers={"Authorization": f"Bearer {token}"}, verify=azure["ca_bundle"]
    ) as client:
        yield client


def hub_id(azure: dict[str, Any]) -> str:
    group = f"/subscriptions/{azure['subscription_id']}/resourceGroups/{azure['resource_group']}"
    return f"{group}/providers/Microsoft.Devices/IotHubs/localhost"


def dps_id(azure: dict[str, Any]) -> str:
    group = f"/subscriptions/{azure['subscription_id']}/resourceGroups/{azure['resource_group']}"
    return f"{group}/providers/Microsoft.Devices/provisioningServices/{azure['dps_name']}"


async def listed(azure: dict[str, Any], resource_id: str, version: str) -> list[ListedCertificate]:
    async with AsyncManagedIdentityCredential() as credential:
        certificates = ArmCertificates(azure["arm_endpoint"], resource_id, version, credential)
        try:
            return list(await certificates.listed())
        finally:
            await certificates.close()


def test_the_hubs_list_has_the_documented_shape(azure: dict[str, Any], arm: httpx.Client):
    answer = arm.get(f"{hub_id(azure)}/certificates", params={"api-version": "2023-06-30"}).raise_for_status()
    for document in answer.json()["value"]:
        properties = document["properties"]
        assert document.keys() == {"id", "name", "type", "etag", "properties"}
        certificate = x509.load_der_x509_certificate(base64.b64decode(properties["certificate"]))
        assert properties["thumbprint"] == certificate.fingerprint(hashes.SHA1()).hex().upper()
        assert parsedate_to_datetime(properties["expiry"]) == certificate.not_valid_after_utc
        assert properties["isVerified"] is True
        assert "policyResourceId" not in properties, "this version does not know it"
        one = arm.get(document["id"], params={"api-version": HUB_API_VERSION}).raise_for_status().json()
        assert "/credentials/default/policies/" in one["properties"]["policyResourceId"]


def test_unknown_ca_certificates_versions_and_writes_are_refused(azure: dict[str, Any], arm: httpx.Client):
    at = f"{hub_id(azure)}/certificates"
    assert arm.get(f"{at}/nobody", params={"api-version": HUB_API_VERSION}).status_code == 404
    assert arm.get(at, params={"api-version": "2016-02-03"}).status_code == 400
    assert arm.get(at.replace("localhost", "other"), params={"api-version": HUB_API_VERSION}).status_code == 404
    refused = arm.put(f"{at}/mine", params={"api-version": HUB_API_VERSION}, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "OperationNotAllowed")


async def test_the_adapter_reads_the_lists_of_hub_and_dps(azure: dict[str, Any]):
    hub = await listed(azure, hub_id(azure), HUB_API_VERSION)
    assert [c.policy.rpartition("/")[2] for c in hub if c.policy] != []
    assert all(c.is_verified for c in hub)
    dps = await listed(azure, dps_id(azure), DPS_API_VERSION)
    assert all(c.policy is None for c in dps)
    for certificate in (*hub, *dps):
        x509.load_pem_x509_certificate(certificate.pem.encode())


async def test_a_list_that_is_not_there_is_a_fault(azure: dict[str, Any]):
    with pytest.raises(InfrastructureFault):
        await listed(azure, hub_id(azure).replace("localhost", "other"), HUB_API_VERSION)


async def test_a_revoked_issuer_is_seen_gone_and_its_successor_trusted(azure: dict[str, Any]):
    table, alerts, clock = FakeTable(), FakeAlerts(), SystemClock()
    policy = f"rotating{uuid.uuid4().hex[:6]}"
    names = azure["resource_group"], azure["adr_namespace"]
    leaf = {"keyType": "ECC"}, {"validityPeriodInDays": 30}
    document = {
        "location": "local",
        "properties": {
            "certificate": {"certificateAuthorityConfiguration": leaf[0], "leafCertificateConfiguration": leaf[1]}
        },
    }
    async with AsyncManagedIdentityCredential() as credential:
        certificates = ArmCertificates(azure["arm_endpoint"], hub_id(azure), HUB_API_VERSION, credential)
        watch = IssuerWatch(table, {Source.HUB: certificates}, alerts, clock)
        with DeviceRegistryMgmtClient(
            ManagedIdentityCredential(),
            azure["subscription_id"],
            base_url=azure["arm_endpoint"],
            credential_scopes=[ARM_SCOPE],
        ) as registry:
            registry.policies.begin_create_or_update(*names, policy, document).result()
            registry.credentials.begin_synchronize(*names).result()
            [old] = [c for c in await certificates.listed() if c.policy and c.policy.endswith(policy)]
            await watch.poll()
            registry.policies.begin_revoke_issuer(*names, policy).result()
            [new] = [c for c in await certificates.listed() if c.policy and c.policy.endswith(policy)]
            await watch.poll()
            registry.policies.begin_delete(*names, policy).result()
        await certificates.close()
    trusted = await TrustedIssuers(table, clock).current()
    assert (old.pem in trusted, new.pem in trusted) == (False, True)
    gone = [a for a in alerts.sent if a.data["name"] == old.name]
    assert [(a.type, a.data["state"]) for a in gone] == [(FleetAlertType.ISSUER_ROTATED, "gone")]
    assert gone[0].data["successor"] is not None


async def test_alerts_and_digests_are_cloudevents_by_the_cloudevents_sdk(azure: dict[str, Any]):
    source = f"/subscriptions/s/{uuid.uuid4()}"
    at = datetime.now(UTC)
    alerts = [
        device_alert("Fleetcert.Certificate.Issued", f"dev {n}?", "x", at + timedelta(seconds=n)) for n in range(3)
    ]
    told = [alerts[0], digest(alerts)]
    async with AsyncManagedIdentityCredential() as credential:
        topic = EventGridAlerts(azure["eventgrid_endpoint"], source, credential)
        await topic.publish(told)
        await topic.close()
    for alert, document in zip(told, delivered(azure, source, len(told)), strict=True):
        message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(document).encode())
        event = from_structured_event(message)
        assert (event.get_id(), event.get_type(), event.get_source()) == (alert.id, alert.type, source)
        assert (event.get_subject(), event.get_specversion()) == (alert.subject, "1.0")
        assert event.get_time() == alert.time
        assert event.get_data() == dict(alert.data)


def delivered(azure: dict[str, Any], source: str, count: int) -> list[dict[str, Any]]:
    """What the topic received from a source, as soon as it is so many."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        events = httpx.get(azure["eventgrid_log_url"]).raise_for_status().json()
        found = [event for event in events if event["source"] == source]
        if len(found) >= count:
            return found
        time.sleep(0.05)
    pytest.fail(f"fewer than {count} events of {source} arrived")


def test_the_app_watches_its_issuers_and_takes_snapshots(azure: dict[str, Any]):
    headers = {"Authorization": f"Bearer {azure['roles']['Fleet.Read']}"}
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        answer = httpx.get(f"{azure['functions_url']}/api/fleet/summary", headers=headers).raise_for_status().json()
        if answer["snapshot"] is not None:
            break
        time.sleep(0.2)
    assert answer["snapshot"] is not None
    assert len(answer["snapshot"]["renewals"]) == 30
