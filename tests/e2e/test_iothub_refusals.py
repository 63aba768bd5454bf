"""Whom and what the local IoT Hub refuses, and that it says why."""

from __future__ import annotations

import base64
import ssl
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.identity import ManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin
from cryptography.hazmat.primitives.asymmetric import ec
from msrest.exceptions import HttpOperationError
from support.hub_clients import (
    CLIENT,
    Operational,
    PlainDevice,
    hub_rest,
    observed,
    operational_credentials,
    owner_token,
)

from fleetcert.certificates import CertificateAuthority, pem_chain, thumbprint
from fleetcert.local.credentials import shared_access_signature

NOT_AUTHORIZED = 5


@pytest.fixture(scope="module")
def hub(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture(scope="module")
def rest(azure: dict[str, Any]) -> Iterator[httpx.Client]:
    with hub_rest(azure) as client:
        yield client


@pytest.fixture
def device_id() -> str:
    return f"dev-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def operational(azure: dict[str, Any], device_id: str, tmp_path: Path) -> Operational:
    return operational_credentials(azure, device_id, tmp_path)


def self_made(name: str, folder: Path, *, life: timedelta = timedelta(hours=1)) -> Operational:
    """A certificate of a CA that nobody trusts."""
    now = datetime.now(UTC).replace(microsecond=0)
    authority = CertificateAuthority.create_root(
        "nobody", ec.generate_private_key(ec.SECP384R1()), not_before=now - timedelta(days=1), not_after=now + life
    )
    key = ec.generate_private_key(ec.SECP384R1())
    leaf = authority.issue_leaf(
        name, key.public_key(), CLIENT, not_before=now - timedelta(hours=1), not_after=now + life
    )
    return Operational.write(folder, f"{name}-self-made", key, [leaf, authority.certificate])


def last_refusal(rest: httpx.Client, device_id: str) -> str:
    return str(observed(rest, device_id)["refusals"][-1]["reason"])


def test_a_certificate_of_an_unknown_ca_is_refused(
    azure: dict[str, Any], device_id: str, operational: Operational, tmp_path: Path, rest: httpx.Client
) -> None:
    assert PlainDevice(azure, device_id, self_made(device_id, tmp_path)).connect() == NOT_AUTHORIZED
    assert "does not lead to a CA of the hub" in last_refusal(rest, device_id)


def test_a_certificate_for_another_device_is_refused(
    azure: dict[str, Any], device_id: str, operational: Operational, tmp_path: Path, rest: httpx.Client
) -> None:
    other = operational_credentials(azure, f"{device_id}-other", tmp_path)
    assert PlainDevice(azure, device_id, other).connect() == NOT_AUTHORIZED
    assert "common name" in last_refusal(rest, device_id)


def test_a_device_without_a_certificate_is_refused(
    azure: dict[str, Any], device_id: str, operational: Operational, rest: httpx.Client
) -> None:
    assert PlainDevice(azure, device_id, None).connect() == NOT_AUTHORIZED
    assert last_refusal(rest, device_id) == "no client certificate"


def test_a_device_that_the_hub_does_not_know_is_refused(
    azure: dict[str, Any], device_id: str, tmp_path: Path, rest: httpx.Client
) -> None:
    assert PlainDevice(azure, device_id, self_made(device_id, tmp_path)).connect() == NOT_AUTHORIZED
    assert "404001" in last_refusal(rest, device_id)


def test_a_disabled_device_loses_its_session_and_is_refused_at_connect(
    azure: dict[str, Any],
    device_id: str,
    operational: Operational,
    hub: IoTHubRegistryManager,
    rest: httpx.Client,
) -> None:
    device = PlainDevice(azure, device_id, operational)
    assert device.connect() == 0
    hub.update_device_with_certificate_authority(device_id, None, "disabled", status_reason="stolen")
    device.wait_until_lost()
    assert PlainDevice(azure, device_id, operational).connect() == NOT_AUTHORIZED
    assert "403012" in last_refusal(rest, device_id)
    hub.update_device_with_certificate_authority(device_id, None, "enabled")
    with PlainDevice(azure, device_id, operational):
        pass


def test_a_deleted_device_loses_its_session_and_is_refused_at_connect(
    azure: dict[str, Any],
    device_id: str,
    operational: Operational,
    hub: IoTHubRegistryManager,
    rest: httpx.Client,
) -> None:
    device = PlainDevice(azure, device_id, operational)
    assert device.connect() == 0
    hub.delete_device(device_id)
    device.wait_until_lost()
    assert PlainDevice(azure, device_id, operational).connect() == NOT_AUTHORIZED
    assert "404001" in last_refusal(rest, device_id)


def test_a_device_with_a_thumbprint_needs_that_very_certificate(
    azure: dict[str, Any], device_id: str, tmp_path: Path, hub: IoTHubRegistryManager
) -> None:
    own = self_made(device_id, tmp_path)
    hub.create_device_with_x509(device_id, thumbprint(own.leaf), "AB" * 32, "enabled")
    with PlainDevice(azure, device_id, own):
        pass
    assert PlainDevice(azure, device_id, self_made(device_id, tmp_path)).connect() == NOT_AUTHORIZED


def test_a_device_with_symmetric_keys_needs_a_token_of_its_own(
    azure: dict[str, Any], device_id: str, hub: IoTHubRegistryManager, rest: httpx.Client
) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    hub.create_device_with_sas(device_id, key, key, "enabled")
    resource = f"{azure['mqtt_host']}%2Fdevices%2F{device_id}"

    def connect(signing_key: bytes, expiry: float) -> int:
        token = shared_access_signature(resource, signing_key, int(expiry), "")
        device = PlainDevice(azure, device_id, None, password=token)
        code = device.connect()
        device.close()
        return code

    assert connect(b"k" * 32, time.time() + 60) == 0
    assert connect(b"x" * 32, time.time() + 60) == NOT_AUTHORIZED
    assert "does not match" in last_refusal(rest, device_id)
    assert connect(b"k" * 32, time.time() - 60) == NOT_AUTHORIZED
    assert "expired" in last_refusal(rest, device_id)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no token"),
        pytest.param({"Authorization": "Bearer x"}, id="no JWT"),
        pytest.param({"Authorization": "Basic eDp5"}, id="another scheme"),
    ],
)
def test_a_caller_without_a_good_token_is_401(azure: dict[str, Any], headers: dict[str, str]) -> None:
    with anonymous(azure) as client:
        for path in ("/devices", "/_local/devices", "/twins/x"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["Message"] == "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"


def test_a_sas_token_with_a_wrong_key_or_for_another_host_is_401(azure: dict[str, Any]) -> None:
    host = azure["iothub_hostname"]
    parts = dict(part.split("=", 1) for part in azure["iothub_service_connection_string"].split(";"))
    key, expiry = base64.b64decode(parts["SharedAccessKey"]), int(time.time()) + 60
    name = parts["SharedAccessKeyName"]
    good = shared_access_signature(host.replace(":", "%3A"), key, expiry, name)
    bad = [
        shared_access_signature(host.replace(":", "%3A"), b"x" * 32, expiry, name),
        shared_access_signature("other.azure-devices.net", key, expiry, name),
        shared_access_signature(host.replace(":", "%3A"), key, expiry - 120, name),
        shared_access_signature(host.replace(":", "%3A"), key, expiry, "nobody"),
    ]
    with anonymous(azure) as client:
        statuses = [client.get("/devices", headers={"Authorization": token}).status_code for token in [good, *bad]]
    assert statuses == [200, 401, 401, 401, 401]


def anonymous(azure: dict[str, Any]) -> httpx.Client:
    return httpx.Client(
        base_url=f"https://{azure['iothub_hostname']}",
        verify=ssl.create_default_context(cafile=azure["ca_bundle"]),
        params={"api-version": "2021-04-12"},
    )


def test_the_51st_message_for_a_device_that_is_away_is_not_taken_until_the_queue_has_room(
    device_id: str, hub: IoTHubRegistryManager, rest: httpx.Client
) -> None:
    hub.create_device_with_certificate_authority(device_id, "enabled")
    for _ in range(50):
        hub.send_c2d_message(device_id, "x")
    with pytest.raises(Exception, match="C2D message send failure"):  # all that the SDK says of 403004
        hub.send_c2d_message(device_id, "x")
    assert hub.get_device(device_id).cloud_to_device_message_count == 50
    rest.delete(f"/devices/{device_id}/commands").raise_for_status()
    hub.send_c2d_message(device_id, "x")
    assert hub.get_device(device_id).cloud_to_device_message_count == 1


def test_a_message_for_a_device_that_is_unknown_or_disabled_is_not_taken(
    device_id: str, hub: IoTHubRegistryManager
) -> None:
    with pytest.raises(Exception, match="C2D message send failure"):
        hub.send_c2d_message(device_id, "x")
    hub.create_device_with_certificate_authority(device_id, "disabled")
    with pytest.raises(Exception, match="C2D message send failure"):
        hub.send_c2d_message(device_id, "x")


@pytest.fixture(scope="module")
def short_lived(azure: dict[str, Any], credential: ManagedIdentityCredential) -> CertificateAuthority:
    """The onboarding CA of an enrollment group whose operational certificates live for ten seconds."""
    now = datetime.now(UTC).replace(microsecond=0)
    authority = CertificateAuthority.create_root(
        "short-lived", ec.generate_private_key(ec.SECP384R1()), not_before=now, not_after=now + timedelta(hours=1)
    )
    with httpx.Client(verify=ssl.create_default_context(cafile=azure["ca_bundle"])) as client:
        create_policy(azure, client, credential.get_token("https://management.azure.com/.default").token)
        create_group(azure, client, pem_chain([authority.certificate]).decode())
    return authority


def create_policy(azure: dict[str, Any], client: httpx.Client, token: str) -> None:
    """The policy `short-lived`, and its issuing CA at the hubs."""
    credentials = (
        f"{azure['arm_endpoint']}/subscriptions/{azure['subscription_id']}/resourceGroups/{azure['resource_group']}"
        f"/providers/Microsoft.DeviceRegistry/namespaces/{azure['adr_namespace']}/credentials/default"
    )
    call = {"params": {"api-version": "2026-03-01-preview"}, "headers": {"Authorization": f"Bearer {token}"}}
    certificate = {
        "certificateAuthorityConfiguration": {"keyType": "ECC"},
        "leafCertificateConfiguration": {"validityPeriodInSeconds": 10},
    }
    policy = {"location": "eastus", "properties": {"certificate": certificate}}
    client.put(f"{credentials}/policies/short-lived", json=policy, **call).raise_for_status()
    client.post(f"{credentials}/synchronize", **call).raise_for_status()


def create_group(azure: dict[str, Any], client: httpx.Client, ca_pem: str) -> None:
    """The enrollment group `short-lived`, attested by the CA."""
    group = {
        "enrollmentGroupId": "short-lived",
        "attestation": {"type": "x509", "x509": {"signingCertificates": {"primary": {"certificate": ca_pem}}}},
        "credentialPolicyName": "short-lived",
        "provisioningStatus": "enabled",
    }
    client.put(
        f"{azure['dps_endpoint']}/enrollmentGroups/short-lived",
        params={"api-version": "2025-07-01-preview"},
        headers={"Authorization": owner_token(azure["dps_service_connection_string"])},
        json=group,
    ).raise_for_status()


def test_a_session_ends_with_its_certificate_and_the_expired_certificate_is_refused(
    azure: dict[str, Any], device_id: str, tmp_path: Path, short_lived: CertificateAuthority, rest: httpx.Client
) -> None:
    brief = operational_credentials(azure, device_id, tmp_path, short_lived)
    device = PlainDevice(azure, device_id, brief)
    assert device.connect() == 0
    device.wait_until_lost(15)
    assert "expired" in observed(rest, device_id)["sessionEnds"][-1]["reason"]
    assert PlainDevice(azure, device_id, brief).connect() == NOT_AUTHORIZED
    assert "the certificate expired at" in last_refusal(rest, device_id)


def test_a_twin_that_grows_too_large_is_refused(hub: IoTHubRegistryManager, device_id: str) -> None:
    hub.create_device_with_certificate_authority(device_id, "enabled")
    hub.update_twin(device_id, Twin(tags={"a": "x" * 4096}))
    with pytest.raises(HttpOperationError) as problem:
        hub.update_twin(device_id, Twin(tags={"b": "x" * 4096}))
    assert problem.value.response.status_code == 403
    assert hub.get_twin(device_id).tags == {"a": "x" * 4096}


def test_a_status_reason_of_129_characters_is_refused(hub: IoTHubRegistryManager, device_id: str) -> None:
    hub.create_device_with_certificate_authority(device_id, "enabled")
    with pytest.raises(HttpOperationError) as problem:
        hub.update_device_with_certificate_authority(device_id, None, "disabled", status_reason="x" * 129)
    assert problem.value.response.status_code == 400
    assert hub.get_device(device_id).status == "enabled"
