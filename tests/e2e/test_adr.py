"""Promise: Azure's unmodified management SDKs govern the local device registry and DPS's CA certificates."""

from __future__ import annotations

import base64
import hmac
import ssl
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.deviceregistry import DeviceRegistryMgmtClient
from azure.mgmt.iothubprovisioningservices import IotDpsClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, common_name, der, pem_chain

ARM_SCOPE = "https://management.azure.com/.default"
CLIENT = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
HOUR = timedelta(hours=1)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def registry(azure: dict[str, Any]) -> Iterator[DeviceRegistryMgmtClient]:
    """The device registry's management client."""
    with DeviceRegistryMgmtClient(
        ManagedIdentityCredential(),
        azure["subscription_id"],
        base_url=azure["arm_endpoint"],
        credential_scopes=[ARM_SCOPE],
    ) as client:
        yield client


@pytest.fixture(scope="module")
def names(azure: dict[str, Any]) -> tuple[str, str]:
    """Resource group and namespace, with which every call of the registry's client begins."""
    return azure["resource_group"], azure["adr_namespace"]


def policy(days: int, **leaf: Any) -> dict[str, Any]:
    return {
        "properties": {
            "certificate": {
                "certificateAuthorityConfiguration": {"keyType": "ECC"},
                "leafCertificateConfiguration": leaf or {"validityPeriodInDays": days},
            }
        }
    }


@pytest.fixture(scope="module")
def policy_name(registry: DeviceRegistryMgmtClient, names: tuple[str, str]) -> Iterator[str]:
    """A policy of these tests alone: they revoke its issuing CA."""
    name = unique("policy")
    registry.policies.begin_create_or_update(*names, name, policy(7)).result()
    registry.credentials.begin_synchronize(*names).result()
    yield name
    registry.policies.begin_delete(*names, name).result()


class Issuance:
    """A symmetric-key group on the policy under test, and devices that register by it."""

    def __init__(self, azure: dict[str, Any], policy_name: str) -> None:
        self._azure = azure
        self._group = unique("adr")
        context = ssl.create_default_context(cafile=azure["ca_bundle"])
        self._client = httpx.Client(
            base_url=azure["dps_endpoint"], verify=context, params={"api-version": "2025-07-01-preview"}
        )
        parts = dict(part.split("=", 1) for part in azure["dps_service_connection_string"].split(";"))
        key = base64.b64decode(parts["SharedAccessKey"])
        self._service = {"Authorization": _token(parts["HostName"], key, parts["SharedAccessKeyName"])}
        document = {
            "enrollmentGroupId": self._group,
            "attestation": {"type": "symmetricKey"},
            "credentialPolicyName": policy_name,
        }
        self._client.put(f"/enrollmentGroups/{self._group}", json=document, headers=self._service).raise_for_status()
        keys = self._client.post(f"/enrollmentGroups/{self._group}/attestationmechanism", headers=self._service).json()
        self._key = base64.b64decode(keys["symmetricKey"]["primaryKey"])

    def register(self, name: str) -> dict[str, Any]:
        key = ec.generate_private_key(ec.SECP384R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(common_name(name)).sign(key, hashes.SHA384())
        csr = base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode()
        path = f"/{self._azure['dps_id_scope']}/registrations/{name}"
        derived = hmac.digest(self._key, name.encode(), "sha256")
        headers = {"Authorization": _token(path[1:], derived, "registration")}
        answer = self._client.put(f"{path}/register", json={"registrationId": name, "csr": csr}, headers=headers)
        while answer.status_code == 202:
            time.sleep(0.1)
            answer = self._client.get(f"{path}/operations/{answer.json()['operationId']}", headers=headers)
        return answer.json()

    def issuer_of(self, name: str) -> str:
        chain = self.register(name)["registrationState"]["issuedCertificateChain"]
        return x509.load_der_x509_certificate(base64.b64decode(chain[0])).issuer.rfc4514_string()

    def close(self) -> None:
        self._client.delete(f"/enrollmentGroups/{self._group}", headers=self._service)
        self._client.close()


def _token(resource: str, key: bytes, policy: str) -> str:
    encoded, expiry = quote(resource, safe=""), int(time.time()) + 3600
    signature = base64.b64encode(hmac.digest(key, f"{encoded}\n{expiry}".encode(), "sha256")).decode()
    return f"SharedAccessSignature sr={encoded}&sig={quote(signature, safe='')}&se={expiry}&skn={policy}"


@pytest.fixture(scope="module")
def issuance(azure: dict[str, Any], policy_name: str) -> Iterator[Issuance]:
    """Devices on the policy under test."""
    created = Issuance(azure, policy_name)
    yield created
    created.close()


# -- the device registry ---------------------------------------------------------------------------------------------


def test_the_namespace_knows_its_hubs(azure, registry, names):
    namespace = registry.namespaces.get(*names)

    assert namespace.properties.provisioning_state == "Succeeded"
    (endpoint,) = namespace.properties.messaging.endpoints.values()
    assert endpoint.address == azure["mqtt_host"]


def test_the_credential_exists_and_creating_it_again_changes_nothing(registry, names):
    credential = registry.credentials.get(*names)

    again = registry.credentials.begin_create_or_update(*names, {"location": "local"}).result()

    assert again.id == credential.id


def test_a_policy_shows_its_issuing_ca_and_the_life_of_leaves(registry, names, policy_name):
    certificate = registry.policies.get(*names, policy_name).properties.certificate

    assert certificate.leaf_certificate_configuration.validity_period_in_days == 7
    assert certificate.certificate_authority_configuration.subject.startswith("CN=")
    assert certificate.certificate_authority_configuration.validity_not_after > datetime.now(UTC)
    assert policy_name in [one.name for one in registry.policies.list_by_resource_group(*names)]


@pytest.mark.parametrize("days", [0, 91])
def test_a_policy_with_an_impossible_validity_is_refused(registry, names, days):
    with pytest.raises(HttpResponseError, match="validityPeriodInDays") as refused:
        registry.policies.begin_create_or_update(*names, unique("bad"), policy(days))

    assert refused.value.status_code == 400


def test_a_policy_may_be_deleted(registry, names):
    name = unique("gone")
    registry.policies.begin_create_or_update(*names, name, policy(1)).result()

    registry.policies.begin_delete(*names, name).result()

    with pytest.raises(ResourceNotFoundError):
        registry.policies.get(*names, name)


def test_a_registered_device_is_a_resource_without_certificates(registry, names, issuance, policy_name):
    name = unique("dev")
    issuance.register(name)

    device = registry.namespace_devices.get(*names, name)

    assert device.properties.enabled
    assert device.properties.external_device_id == name
    assert device.properties.policy.resource_id.endswith(f"/policies/{policy_name}")
    assert name in [one.name for one in registry.namespace_devices.list_by_resource_group(*names)]


def test_a_device_that_is_disabled_gets_no_certificate_until_it_is_enabled(registry, names, issuance):
    name = unique("dev")
    issuance.register(name)

    for enabled, status in ((False, "failed"), (True, "assigned")):
        changed = registry.namespace_devices.begin_update(*names, name, {"properties": {"enabled": enabled}}).result()
        assert changed.properties.enabled is enabled
        assert issuance.register(name)["status"] == status


def test_a_revoked_device_may_come_back_and_a_disabled_one_may_not(registry, names, issuance):
    name = unique("dev")
    issuance.register(name)

    registry.namespace_devices.begin_revoke(*names, name, {"disable": False}).result()
    assert issuance.register(name)["status"] == "assigned"

    registry.namespace_devices.begin_revoke(*names, name, {"disable": True}).result()
    assert issuance.register(name)["status"] == "failed"
    assert registry.namespace_devices.get(*names, name).properties.enabled is False


def test_revoking_an_issuer_rotates_the_issuing_ca(registry, names, issuance, policy_name):
    before = issuance.issuer_of(unique("dev"))

    registry.policies.begin_revoke_issuer(*names, policy_name).result()

    after = issuance.issuer_of(unique("dev"))
    shown = registry.policies.get(*names, policy_name).properties.certificate.certificate_authority_configuration
    assert before != after == shown.subject


@pytest.mark.parametrize("what", ["policies", "namespace_devices"])
def test_what_does_not_exist_is_not_found(registry, names, what):
    with pytest.raises(ResourceNotFoundError):
        getattr(registry, what).get(*names, "missing")


def test_another_resource_group_is_not_found(registry, names):
    with pytest.raises(ResourceNotFoundError, match="resource group"):
        registry.namespaces.get("elsewhere", names[1])


def test_a_token_for_another_audience_is_refused(azure):
    with (
        DeviceRegistryMgmtClient(
            ManagedIdentityCredential(),
            azure["subscription_id"],
            base_url=azure["arm_endpoint"],
            credential_scopes=["https://iothubs.azure.net/.default"],
        ) as client,
        pytest.raises(ClientAuthenticationError),
    ):
        client.namespaces.get(azure["resource_group"], azure["adr_namespace"])


# -- CA certificates of DPS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dps(azure: dict[str, Any]) -> Iterator[Any]:
    """The operations on DPS's certificates."""
    with IotDpsClient(
        ManagedIdentityCredential(),
        azure["subscription_id"],
        base_url=azure["arm_endpoint"],
        credential_scopes=[ARM_SCOPE],
    ) as client:
        yield client.dps_certificate


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    """A CA to upload."""
    now = datetime.now(UTC) - HOUR
    key = ec.generate_private_key(ec.SECP256R1())
    return CertificateAuthority.create_root("factory", key, not_before=now, not_after=now + 9 * HOUR)


@pytest.fixture
def uploaded(azure: dict[str, Any], dps: Any, authority: CertificateAuthority) -> Iterator[Any]:
    """A CA certificate that nobody verified yet; gone after the test."""
    name, *where = unique("ca"), azure["resource_group"], azure["dps_name"]
    yield dps.create_or_update(*where, name, {"properties": {"certificate": der_text(authority)}})
    dps.delete(*where, name, **present(dps.get(name, *where)))


def der_text(authority: CertificateAuthority) -> str:
    return base64.b64encode(der(authority.certificate)).decode()


def proof(authority: CertificateAuthority, code: str) -> str:
    now = datetime.now(UTC) - timedelta(minutes=1)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    certificate = authority.issue_leaf(code, key, CLIENT, not_before=now, not_after=now + HOUR)
    return pem_chain([certificate]).decode()


def present(resource: Any) -> dict[str, Any]:
    return {"etag": resource.etag, "match_condition": MatchConditions.IfNotModified}


def test_a_ca_is_uploaded_challenged_and_verified(azure, dps, uploaded, authority):
    where = (uploaded.name, azure["resource_group"], azure["dps_name"])
    assert not uploaded.properties.is_verified

    challenge = dps.generate_verification_code(*where, **present(uploaded))
    document = {"certificate": proof(authority, challenge.properties.verification_code)}
    verified = dps.verify_certificate(*where, document, **present(challenge))

    assert verified.properties.is_verified
    assert verified.properties.subject == "factory"
    listed = {one.name: one for one in dps.list(azure["resource_group"], azure["dps_name"]).value}
    assert listed[uploaded.name].properties.is_verified


def test_a_proof_for_another_code_verifies_nothing(azure, dps, uploaded, authority):
    where = (uploaded.name, azure["resource_group"], azure["dps_name"])
    challenge = dps.generate_verification_code(*where, **present(uploaded))

    with pytest.raises(HttpResponseError, match="verification code"):
        dps.verify_certificate(*where, {"certificate": proof(authority, "0" * 48)}, **present(challenge))

    assert not dps.get(*where).properties.is_verified


def test_a_stale_etag_is_a_412(azure, dps, uploaded):
    with pytest.raises(HttpResponseError) as refused:
        dps.generate_verification_code(
            uploaded.name,
            azure["resource_group"],
            azure["dps_name"],
            etag="stale",
            match_condition=MatchConditions.IfNotModified,
        )

    assert refused.value.status_code == 412


def test_an_upload_may_be_verified_at_once(azure, dps, authority):
    name, *where = unique("trusted"), azure["resource_group"], azure["dps_name"]

    properties = {"certificate": base64.b64encode(pem_chain([authority.certificate])).decode(), "isVerified": True}
    created = dps.create_or_update(*where, name, {"properties": properties})
    dps.delete(*where, name, **present(created))

    assert created.properties.is_verified
    with pytest.raises(ResourceNotFoundError):
        dps.get(name, *where)
