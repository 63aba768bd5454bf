"""Promise: unmodified clients register at DPS, get certificates for CSRs, and are refused as documented."""

from __future__ import annotations

import base64
import hmac
import json
import queue
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import paho.mqtt.client as mqtt
import pytest
from azure.identity import ManagedIdentityCredential
from azure.iot.device import X509, ProvisioningDeviceClient
from azure.iot.device.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import (
    CertificateAuthority,
    LeafProfile,
    common_name,
    common_name_of,
    pem_chain,
    pem_private_key,
)

PREVIEW, OLDER = "2025-07-01-preview", "2019-03-31"
CLIENT = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
HOUR = timedelta(hours=1)
AUDIENCE = "https://azure-devices-provisioning.net"


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def csr(name: str) -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    der = request.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384())
    return base64.b64encode(der.public_bytes(serialization.Encoding.DER)).decode()


def read_chain(state: dict[str, Any]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(base64.b64decode(one)) for one in state["issuedCertificateChain"]]


class Credential:
    """An onboarding credential in files, and the TLS context that presents it."""

    def __init__(self, folder: Path, name: str, authority: CertificateAuthority, bundle: str) -> None:
        key = new_key()
        now = datetime.now(UTC) - timedelta(minutes=1)
        self.leaf = authority.issue_leaf(name, key.public_key(), CLIENT, not_before=now, not_after=now + HOUR)
        self.certificate_file = folder / f"{name}.pem"
        self.key_file = folder / f"{name}.key"
        self.certificate_file.write_bytes(pem_chain([self.leaf, *authority.chain]))
        self.key_file.write_bytes(pem_private_key(key))
        self.context = ssl.create_default_context(cafile=bundle)
        self.context.load_cert_chain(self.certificate_file, self.key_file)


@pytest.fixture(scope="module")
def onboarding_ca(azure: dict[str, Any]) -> CertificateAuthority:
    """The CA that the default group trusts."""
    files = azure["onboarding"]
    certificate = x509.load_pem_x509_certificate(Path(files["ca_cert"]).read_bytes())
    key = serialization.load_pem_private_key(Path(files["ca_key"]).read_bytes(), None)
    return CertificateAuthority(certificate, key, signature_hash=hashes.SHA256())


@pytest.fixture(scope="module")
def onboarding(
    azure: dict[str, Any], onboarding_ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Credential]:
    """`onboarding(name)`: a credential of the default group's CA, or of `authority`."""
    folder = tmp_path_factory.mktemp("dps")

    def create(name: str, authority: CertificateAuthority = onboarding_ca) -> Credential:
        return Credential(folder, name, authority, azure["ca_bundle"])

    return create


def sas(azure: dict[str, Any], key: str | None = None, resource: str | None = None) -> str:
    parts = dict(part.split("=", 1) for part in azure["dps_service_connection_string"].split(";"))
    signing_key = base64.b64decode(key or parts["SharedAccessKey"])
    return token(resource or parts["HostName"], signing_key, parts["SharedAccessKeyName"])


def token(resource: str, key: bytes, policy: str, expires_in: int = 3600) -> str:
    encoded, expiry = quote(resource, safe=""), int(time.time()) + expires_in
    signature = base64.b64encode(hmac.digest(key, f"{encoded}\n{expiry}".encode(), "sha256")).decode()
    return f"SharedAccessSignature sr={encoded}&sig={quote(signature, safe='')}&se={expiry}&skn={policy}"


@pytest.fixture(scope="module")
def service(azure: dict[str, Any]) -> Iterator[httpx.Client]:
    """The service API, authorised by SAS."""
    context = ssl.create_default_context(cafile=azure["ca_bundle"])
    headers = {"Authorization": sas(azure)}
    with httpx.Client(
        base_url=azure["dps_endpoint"], verify=context, headers=headers, params={"api-version": PREVIEW}
    ) as client:
        yield client


class Device:
    """DPS's device API over HTTPS, with a client certificate or a token."""

    def __init__(self, azure: dict[str, Any], registration_id: str, credential: Credential | str) -> None:
        presents = isinstance(credential, Credential)
        context = credential.context if presents else ssl.create_default_context(cafile=azure["ca_bundle"])
        self._url = f"{azure['dps_endpoint']}/{azure['dps_id_scope']}/registrations/{registration_id}"
        self._client = httpx.Client(
            verify=context,
            headers={} if presents else {"Authorization": credential},
        )
        self.registration_id = registration_id

    def request(self, method: str, path: str = "", version: str = PREVIEW, **body: Any) -> httpx.Response:
        content = {"json": body} if method != "GET" else {}
        return self._client.request(method, self._url + path, params={"api-version": version}, **content)

    def register(self, version: str = PREVIEW, **body: Any) -> dict[str, Any]:
        """Registers and polls until the operation is done."""
        answer = self.request("PUT", "/register", version, registrationId=self.registration_id, **body)
        while answer.status_code == 202:
            time.sleep(0.1)
            answer = self.request("GET", f"/operations/{answer.json()['operationId']}", version)
        return answer.json()


@pytest.fixture
def device(azure: dict[str, Any]) -> Iterator[Callable[..., Device]]:
    """`device(registration id, credential or token)`."""
    with ExitStack() as stack:

        def create(registration_id: str, credential: Credential | str) -> Device:
            created = Device(azure, registration_id, credential)
            stack.callback(created._client.close)
            return created

        yield create


class MqttDevice:
    """DPS's device API over MQTT, as the protocol's page describes it, with paho."""

    def __init__(
        self, azure: dict[str, Any], registration_id: str, credential: Credential | None, password=None
    ) -> None:
        self._messages: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._events: queue.Queue[int] = queue.Queue()
        self._client = mqtt.Client(client_id=registration_id, protocol=mqtt.MQTTv311)
        context = credential.context if credential else ssl.create_default_context(cafile=azure["ca_bundle"])
        self._client.tls_set_context(context)
        user_name = f"{azure['dps_id_scope']}/registrations/{registration_id}/api-version={PREVIEW}&ClientVersion=test"
        self._client.username_pw_set(user_name, password)
        self._client.on_connect = lambda _client, _data, _flags, code: self._events.put(code)
        self._client.on_subscribe = lambda *_: self._events.put(0)
        self._client.on_message = lambda _client, _data, m: self._messages.put((m.topic, json.loads(m.payload)))
        self._client.connect(azure["mqtt_host"], azure["mqtt_port"])
        self._client.loop_start()
        self.return_code = self._events.get(timeout=10)
        if self.return_code == 0:
            self._client.subscribe("$dps/registrations/res/#", 1)
            self._events.get(timeout=10)

    def request(self, topic: str, body: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        self._client.publish(topic, json.dumps(body) if body else " ", 1)
        return self._messages.get(timeout=10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="


@pytest.fixture
def over_mqtt(azure: dict[str, Any]) -> Iterator[Callable[..., MqttDevice]]:
    """`over_mqtt(registration id, credential, password)`."""
    with ExitStack() as stack:

        def create(*arguments: Any) -> MqttDevice:
            created = MqttDevice(azure, *arguments)
            stack.callback(created.close)
            return created

        yield create


@pytest.fixture
def symmetric_group(service: httpx.Client) -> Iterator[tuple[str, bytes]]:
    """A symmetric-key group with the default policy: its id and its primary key."""
    name = unique("keys")
    document = {
        "enrollmentGroupId": name,
        "attestation": {"type": "symmetricKey"},
        "credentialPolicyName": "default",
    }
    service.put(f"/enrollmentGroups/{name}", json=document).raise_for_status()
    mechanism = service.post(f"/enrollmentGroups/{name}/attestationmechanism").json()
    yield name, base64.b64decode(mechanism["symmetricKey"]["primaryKey"])
    service.delete(f"/enrollmentGroups/{name}")


def device_token(azure: dict[str, Any], group_key: bytes, registration_id: str) -> str:
    derived = hmac.digest(group_key, registration_id.encode(), "sha256")
    return token(f"{azure['dps_id_scope']}/registrations/{registration_id}", derived, "registration")


# -- registering -----------------------------------------------------------------------------------------------------


def test_over_https_a_csr_is_answered_with_an_operational_certificate(azure, device, onboarding):
    name = unique("https")

    answer = device(name, onboarding(name)).register(csr=csr(name))

    leaf, issuer, root = read_chain(answer["registrationState"])
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    assert common_name_of(leaf.subject) == name
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert lifetime == timedelta(seconds=azure["policy_validity_seconds"])
    assert answer["registrationState"]["assignedHub"] == azure["mqtt_host"]


def test_a_device_is_told_when_and_where_to_poll(device, onboarding):
    name = unique("poll")
    client = device(name, onboarding(name))

    started = client.request("PUT", "/register", registrationId=name)
    operation = started.json()["operationId"]
    too_early = client.request("GET", f"/operations/{operation}")

    assert started.status_code == 202
    assert started.json() == {"operationId": operation, "status": "assigning"}
    assert int(started.headers["retry-after"]) >= 1
    assert f"/registrations/{name}/operations/{operation}" in started.headers["location"]
    assert too_early.status_code == 202
    time.sleep(int(started.headers["retry-after"]))
    assert client.request("GET", f"/operations/{operation}").json()["status"] == "assigned"


def test_over_mqtt_a_csr_is_answered_with_an_operational_certificate(over_mqtt, onboarding):
    name = unique("mqtt")
    client = over_mqtt(name, onboarding(name))

    topic, started = client.request(REGISTER, {"registrationId": name, "csr": csr(name)})
    assert topic == "$dps/registrations/res/202/?$rid=1&retry-after=1"
    time.sleep(1)
    topic, done = client.request(POLL + started["operationId"])

    assert topic == "$dps/registrations/res/200/?$rid=2"
    assert common_name_of(read_chain(done["registrationState"])[0].subject) == name


def test_the_python_sdk_registers_with_a_certificate_and_without_a_csr(azure, onboarding):
    name = unique("sdk")
    credential = onboarding(name)
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host="localhost",
        registration_id=name,
        id_scope=azure["dps_id_scope"],
        x509=X509(cert_file=str(credential.certificate_file), key_file=str(credential.key_file)),
        server_verification_cert=Path(azure["ca_bundle"]).read_text(),
    )

    result = client.register()

    assert result.status == "assigned"
    assert result.registration_state.assigned_hub == azure["mqtt_host"]
    assert result.registration_state.device_id == name


def test_the_python_sdk_registers_with_a_derived_key(azure, symmetric_group):
    name = unique("sdk-key")
    derived = base64.b64encode(hmac.digest(symmetric_group[1], name.encode(), "sha256")).decode()
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host="localhost",
        registration_id=name,
        id_scope=azure["dps_id_scope"],
        symmetric_key=derived,
        server_verification_cert=Path(azure["ca_bundle"]).read_text(),
    )

    assert client.register().status == "assigned"


def test_a_derived_key_gets_a_certificate_over_https(azure, device, symmetric_group):
    name = unique("key")

    answer = device(name, device_token(azure, symmetric_group[1], name)).register(csr=csr(name))

    assert len(read_chain(answer["registrationState"])) == 3
    assert answer["registrationState"]["symmetricKey"]["enrollmentGroupId"] == symmetric_group[0]


def test_registering_again_renews_the_certificate(device, onboarding):
    name = unique("renew")
    client = device(name, onboarding(name))

    first = read_chain(client.register(csr=csr(name))["registrationState"])[0]
    second = read_chain(client.register(csr=csr(name))["registrationState"])[0]

    assert first.serial_number != second.serial_number


# -- refusing --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stranger() -> CertificateAuthority:
    """A CA that nobody uploaded."""
    now = datetime.now(UTC) - HOUR
    return CertificateAuthority.create_root("stranger", new_key(), not_before=now, not_after=now + 9 * HOUR)


def test_an_unknown_ca_is_a_401_with_the_documented_body(device, onboarding, stranger):
    name = unique("stranger")

    refused = device(name, onboarding(name, stranger)).request("PUT", "/register", registrationId=name)

    assert refused.status_code == 401
    assert refused.json().keys() == {"errorCode", "trackingId", "message", "timestampUtc"}
    assert refused.json()["errorCode"] == 401002
    assert refused.headers["x-ms-error-code"] == "401002"


def test_over_mqtt_an_unknown_ca_is_answered_with_the_same_body(over_mqtt, onboarding, stranger):
    name = unique("stranger")

    topic, body = over_mqtt(name, onboarding(name, stranger)).request(REGISTER, {"registrationId": name})

    assert topic == "$dps/registrations/res/401/?$rid=1"
    assert body["errorCode"] == 401002


def test_the_python_sdk_reports_the_refusal(azure, onboarding, stranger):
    name = unique("stranger")
    credential = onboarding(name, stranger)
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host="localhost",
        registration_id=name,
        id_scope=azure["dps_id_scope"],
        x509=X509(cert_file=str(credential.certificate_file), key_file=str(credential.key_file)),
        server_verification_cert=Path(azure["ca_bundle"]).read_text(),
    )

    with pytest.raises(ClientError) as failure:
        client.register()
    assert "service error status code 401" in str(failure.value.__cause__)


def test_a_certificate_with_another_name_is_a_401(device, onboarding):
    refused = device(unique("me"), onboarding(unique("other"))).request("PUT", "/register")

    assert refused.status_code == 401
    assert refused.json()["message"] == "Invalid certificate"


def test_a_csr_with_another_name_fails_the_registration(device, onboarding):
    name = unique("me")

    answer = device(name, onboarding(name)).register(csr=csr(unique("other")))

    assert answer["status"] == "failed"
    assert answer["registrationState"]["errorCode"] == 400037
    assert "issuedCertificateChain" not in answer["registrationState"]


def test_a_csr_needs_the_preview_version(device, onboarding):
    name = unique("older")
    client = device(name, onboarding(name))

    refused = client.request("PUT", "/register", OLDER, registrationId=name, csr=csr(name))

    assert refused.status_code == 400
    assert client.register(OLDER)["status"] == "assigned"


def test_a_wrong_key_is_refused_over_https_and_at_mqtt_connect(azure, device, over_mqtt, symmetric_group):
    name = unique("key")
    wrong = device_token(azure, b"not the key of the group", name)

    assert device(name, wrong).request("PUT", "/register").status_code == 401
    assert over_mqtt(name, None, wrong).return_code == 5


def test_a_tpm_is_refused_and_not_imitated(service, device, onboarding):
    name = unique("tpm")
    document = {"registrationId": name, "attestation": {"type": "tpm", "tpm": {"endorsementKey": "a2V5"}}}

    enrollment = service.put(f"/enrollments/{name}", json=document)
    registration = device(name, onboarding(name)).request("PUT", "/register", tpm={"endorsementKey": "a2V5"})

    for refused in (enrollment, registration):
        assert refused.status_code == 400
        assert "TPM" in refused.json()["message"]


def test_an_unknown_id_scope_is_a_404(azure, onboarding):
    url = f"{azure['dps_endpoint']}/0neUNKNOWN/registrations/dev-1/register"
    with httpx.Client(verify=onboarding(unique("scope")).context) as client:
        refused = client.put(url, params={"api-version": PREVIEW}, json={})

    assert (refused.status_code, refused.json()["errorCode"]) == (404, 404201)


def test_what_is_not_json_is_a_415(azure, onboarding):
    url = f"{azure['dps_endpoint']}/{azure['dps_id_scope']}/registrations/dev-1/register"
    with httpx.Client(verify=onboarding(unique("form")).context) as client:
        assert client.put(url, params={"api-version": PREVIEW}, content=b"{}").status_code == 415


# -- enrollments -----------------------------------------------------------------------------------------------------


def test_a_disabled_individual_enrollment_blocks_a_device_of_a_group(service, device, onboarding):
    name = unique("block")
    credential = onboarding(name)
    client = device(name, credential)
    assert client.register()["status"] == "assigned"
    document = {
        "registrationId": name,
        "provisioningStatus": "disabled",
        "attestation": {
            "type": "x509",
            "x509": {"clientCertificates": {"primary": {"certificate": pem_chain([credential.leaf]).decode()}}},
        },
    }

    service.put(f"/enrollments/{name}", json=document).raise_for_status()
    blocked = client.register(csr=csr(name))
    service.delete(f"/enrollments/{name}").raise_for_status()

    assert blocked["status"] == "disabled"
    assert "issuedCertificateChain" not in blocked["registrationState"]
    assert client.register(csr=csr(name))["status"] == "assigned"


def test_a_disabled_group_lets_nobody_in_until_it_is_enabled(azure, service, device, symmetric_group):
    group, key = symmetric_group
    name = unique("group")
    client = device(name, device_token(azure, key, name))
    document = service.get(f"/enrollmentGroups/{group}").json()
    keys = service.post(f"/enrollmentGroups/{group}/attestationmechanism").json()

    for status, expected in (("disabled", "disabled"), ("enabled", "assigned")):
        document |= {"attestation": keys, "provisioningStatus": status}
        service.put(f"/enrollmentGroups/{group}", json=document).raise_for_status()
        assert client.register()["status"] == expected


def test_a_stale_etag_is_a_412_and_changes_nothing(service, symmetric_group):
    path = f"/enrollmentGroups/{symmetric_group[0]}"
    before = service.get(path)

    refused = service.put(path, json=before.json(), headers={"If-Match": '"stale"'})
    deleted = service.delete(path, headers={"If-Match": '"stale"'})

    assert (refused.status_code, deleted.status_code) == (412, 412)
    assert service.get(path).headers["etag"] == before.headers["etag"] == before.json()["etag"]
    assert service.put(path, json=before.json(), headers={"If-Match": before.headers["etag"]}).status_code == 200


def test_enrollments_are_queried_in_pages(service, symmetric_group):
    names: list[str] = []
    continuation = ""
    while True:
        headers = {"x-ms-max-item-count": "1", "x-ms-continuation": continuation}
        answer = service.post(
            "/enrollmentGroups/query", json={"query": "SELECT * FROM enrollmentGroups"}, headers=headers
        )
        names += [one["enrollmentGroupId"] for one in answer.json()]
        continuation = answer.headers.get("x-ms-continuation", "")
        if not continuation:
            break

    assert symmetric_group[0] in names
    assert len(names) == len(set(names)) >= 2
    assert answer.headers["x-ms-item-type"] == "enrollmentGroup"


def test_enrollments_are_changed_in_bulk(service):
    names = [unique("bulk") for _ in range(2)]
    enrollments = [{"registrationId": name, "attestation": {"type": "symmetricKey"}} for name in names]

    created = service.post("/enrollments", json={"mode": "create", "enrollments": enrollments})
    again = service.post("/enrollments", json={"mode": "create", "enrollments": enrollments})
    deleted = service.post("/enrollments", json={"mode": "delete", "enrollments": enrollments})

    assert created.json() == {"isSuccessful": True, "errors": []}
    assert [error["registrationId"] for error in again.json()["errors"]] == names
    assert deleted.json()["isSuccessful"]


def test_registrations_are_read_queried_and_forgotten(azure, service, device, symmetric_group):
    group, key = symmetric_group
    name = unique("registered")
    device(name, device_token(azure, key, name)).register()

    state = service.get(f"/registrations/{name}")
    listed = service.post(f"/registrations/{group}/query")

    assert state.json()["status"] == "assigned"
    assert [one["registrationId"] for one in listed.json()] == [name]
    assert service.delete(f"/registrations/{name}").status_code == 204
    assert service.get(f"/registrations/{name}").status_code == 404


def test_a_device_looks_its_registration_up(device, onboarding):
    name = unique("look-up")
    client = device(name, onboarding(name))
    assert client.request("POST").status_code == 404
    client.register(csr=csr(name))

    state = client.request("POST").json()

    assert state["status"] == "assigned"
    assert "issuedCertificateChain" not in state


# -- who may call the service API ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"Authorization": "SharedAccessSignature nonsense"},
        {"Authorization": "Bearer nonsense"},
        {"key": base64.b64encode(b"x" * 32).decode()},
        {"resource": "elsewhere.azure-devices-provisioning.net"},
    ],
    ids=["nothing", "no signature", "no token", "wrong key", "another service"],
)
def test_the_service_api_refuses_whom_it_does_not_know(azure, broken):
    headers = broken if "Authorization" in broken else {"Authorization": sas(azure, **broken)} if broken else {}
    context = ssl.create_default_context(cafile=azure["ca_bundle"])

    refused = httpx.get(
        f"{azure['dps_endpoint']}/enrollmentGroups/fleet",
        params={"api-version": PREVIEW},
        headers=headers,
        verify=context,
    )

    assert refused.status_code == 401
    assert refused.json()["errorCode"] == 401002


def test_the_service_api_takes_the_managed_identity(azure, service):
    bearer = ManagedIdentityCredential().get_token(f"{AUDIENCE}/.default").token
    other = ManagedIdentityCredential().get_token("https://iothubs.azure.net/.default").token
    path = f"/enrollmentGroups/{azure['onboarding']['enrollment_group']}"

    assert service.get(path, headers={"Authorization": f"Bearer {bearer}"}).status_code == 200
    assert service.get(path, headers={"Authorization": f"Bearer {other}"}).status_code == 401
