"""Clients of the local IoT Hub for end-to-end tests: a device's certificate, and plain MQTT for what no SDK does.

Everything goes by documented APIs; keys are those of `azure.json`.
"""

from __future__ import annotations

import base64
import queue
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import paho.mqtt.client as mqtt
from azure.identity import ManagedIdentityCredential
from azure.iot.device import X509, IoTHubDeviceClient
from azure.mgmt.iothubprovisioningservices import IotDpsClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import (
    CertificateAuthority,
    LeafProfile,
    PrivateKey,
    common_name,
    pem_chain,
    pem_private_key,
)
from fleetcert.local.credentials import shared_access_signature

HUB_API = "2025-08-01-preview"
DPS_API = "2025-07-01-preview"
CLIENT = LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, slots=True)
class Operational:
    """A device's operational credential as files."""

    certificate: Path
    key: Path

    @classmethod
    def write(cls, folder: Path, name: str, key: PrivateKey, chain: list[x509.Certificate]) -> Operational:
        files = cls(folder / f"{name}.pem", folder / f"{name}.key")
        files.certificate.write_bytes(pem_chain(chain))
        files.key.write_bytes(pem_private_key(key))
        return files

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())


def eventually[T](look: Callable[[], T], *, seconds: float = 10) -> T:
    """What `look` returns once it is true-ish."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {look.__name__}"
        time.sleep(0.02)
    return seen


def signing_request(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A CSR as Azure takes it: base64 of DER."""
    request = x509.CertificateSigningRequestBuilder().subject_name(common_name(name)).sign(key, hashes.SHA384())
    return base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode()


def chain_of(certificates: list[str]) -> list[x509.Certificate]:
    """Certificates as Azure sends them: base64 of DER, leaf first."""
    return [x509.load_der_x509_certificate(base64.b64decode(certificate)) for certificate in certificates]


def onboarding_authority(azure: dict[str, Any]) -> CertificateAuthority:
    """The CA that the default enrollment group trusts."""
    files = azure["onboarding"]
    key = serialization.load_pem_private_key(Path(files["ca_key"]).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate(Path(files["ca_cert"]).read_bytes())
    return CertificateAuthority(certificate, key)


def operational_credentials(
    azure: dict[str, Any], device_id: str, folder: Path, authority: CertificateAuthority | None = None
) -> Operational:
    """Registers the device at DPS with a CSR and returns what was issued. `authority`: of its onboarding leaf."""
    return register(
        azure, device_id, onboarding_leaf(authority or onboarding_authority(azure), device_id, folder), folder
    )


def register(azure: dict[str, Any], device_id: str, onboarding: Operational, folder: Path) -> Operational:
    """The same with an onboarding credential that is there: its chain and its key."""
    key = ec.generate_private_key(ec.SECP384R1())
    tls = ssl.create_default_context(cafile=azure["ca_bundle"])
    tls.load_cert_chain(onboarding.certificate, onboarding.key)
    base = f"{azure['dps_endpoint']}/{azure['dps_id_scope']}/registrations/{device_id}"
    with httpx.Client(verify=tls, params={"api-version": DPS_API}) as client:
        body = {"registrationId": device_id, "csr": signing_request(device_id, key)}
        operation = client.put(f"{base}/register", json=body).raise_for_status().json()
        state = eventually(lambda: _assigned(client, f"{base}/operations/{operation['operationId']}"))
    return Operational.write(folder, device_id, key, chain_of(state["issuedCertificateChain"]))


def onboarding_leaf(authority: CertificateAuthority, device_id: str, folder: Path) -> Operational:
    """A new onboarding credential for the device."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC).replace(microsecond=0)
    leaf = authority.issue_leaf(device_id, key.public_key(), CLIENT, not_before=now, not_after=now + timedelta(hours=1))
    return Operational.write(folder, f"{device_id}-onboarding", key, [leaf, authority.certificate])


def _assigned(client: httpx.Client, url: str) -> dict[str, Any] | None:
    operation = client.get(url).raise_for_status().json()
    assert operation["status"] in ("assigning", "assigned"), operation
    return operation["registrationState"] if operation["status"] == "assigned" else None


def state_of_dps(azure: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Every CA certificate, group and enrollment with its ETag, by other clients than those under test."""
    with IotDpsClient(
        ManagedIdentityCredential(),
        azure["subscription_id"],
        base_url=azure["arm_endpoint"],
        credential_scopes=["https://management.azure.com/.default"],
    ) as client:
        listed = client.dps_certificate.list(azure["resource_group"], azure["dps_name"]).value or []
    with dps_client(azure) as service:
        documents = {kind: _queried(service, kind) for kind in ("enrollmentGroups", "enrollments")}
    return {"certificates": [(str(one.name), str(one.etag)) for one in listed], **documents}


def dps_client(azure: dict[str, Any]) -> httpx.Client:
    """DPS's service API, by its connection string."""
    parts = dict(part.split("=", 1) for part in azure["dps_service_connection_string"].split(";"))
    resource, expiry = quote(parts["HostName"], safe=""), int(time.time()) + 3600
    key = base64.b64decode(parts["SharedAccessKey"])
    token = shared_access_signature(resource, key, expiry, parts["SharedAccessKeyName"])
    return httpx.Client(
        base_url=azure["dps_endpoint"],
        verify=ssl.create_default_context(cafile=azure["ca_bundle"]),
        headers={"Authorization": token},
        params={"api-version": DPS_API},
    )


def _queried(service: httpx.Client, kind: str) -> list[tuple[str, str]]:
    found = service.post(f"/{kind}/query", json={"query": f"SELECT * FROM {kind}"}).raise_for_status().json()
    return [(one.get("enrollmentGroupId") or one["registrationId"], one["etag"]) for one in found]


def sdk_client(azure: dict[str, Any], device_id: str, operational: Operational) -> IoTHubDeviceClient:
    """Microsoft's device client, as a device would make it."""
    return IoTHubDeviceClient.create_from_x509_certificate(
        x509=X509(str(operational.certificate), str(operational.key)),
        hostname=azure["mqtt_host"],
        device_id=device_id,
        server_verification_cert=Path(azure["ca_bundle"]).read_text(),
        connection_retry=False,
    )


class PlainDevice:
    """A device that speaks MQTT through paho. Every call waits for the hub's answer."""

    def __init__(
        self,
        azure: dict[str, Any],
        device_id: str,
        operational: Operational | None,
        *,
        password: str | None = None,
        api_version: str = HUB_API,
        clean_session: bool = True,
        acknowledge: bool = True,
    ) -> None:
        self._address = azure["mqtt_host"], azure["mqtt_port"]
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self._answers: queue.Queue[Any] = queue.Queue()
        self.lost: queue.Queue[int] = queue.Queue()
        self.client = mqtt.Client(device_id, clean_session, reconnect_on_failure=False)
        if not acknowledge:
            self.client._send_puback = lambda _mid: mqtt.MQTT_ERR_SUCCESS  # paho 1.6 acknowledges by itself
        tls = ssl.create_default_context(cafile=azure["ca_bundle"])
        if operational is not None:
            tls.load_cert_chain(operational.certificate, operational.key)
        self.client.tls_set_context(tls)
        self.client.username_pw_set(f"{azure['mqtt_host']}/{device_id}/?api-version={api_version}", password)
        self.client.on_connect = lambda _client, _data, flags, code: self._answers.put((code, flags))
        self.client.on_subscribe = lambda _client, _data, _mid, granted: self._answers.put(granted)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_disconnect = lambda _client, _data, code: self.lost.put(code)

    def connect(self) -> int:
        """CONNACK's return code."""
        self.client.connect(*self._address)
        self.client.loop_start()
        self.return_code, self.flags = self._answers.get(timeout=10)
        if self.return_code:
            self.close()
        return int(self.return_code)

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        """The granted QoS."""
        self.client.subscribe(topic_filter, qos)
        return int(self._answers.get(timeout=10)[0])

    def ask(self, topic: str, document: Any) -> tuple[str, bytes]:
        """Publishes, and returns topic and payload of the next message."""
        self.client.publish(topic, document, 1)
        return self.next_message()

    def next_message(self) -> tuple[str, bytes]:
        message = self.messages.get(timeout=10)
        return message.topic, message.payload

    def wait_until_lost(self, seconds: float = 10) -> None:
        self.lost.get(timeout=seconds)
        self.client.loop_stop()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> PlainDevice:
        assert self.connect() == 0
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def owner_token(connection_string: str) -> str:
    """A SAS token of the policy in a connection string, good for an hour."""
    parts = dict(part.split("=", 1) for part in connection_string.split(";"))
    resource, key = parts["HostName"].replace(":", "%3A"), base64.b64decode(parts["SharedAccessKey"])
    return shared_access_signature(resource, key, int(time.time()) + 3600, parts["SharedAccessKeyName"])


def hub_rest(azure: dict[str, Any]) -> httpx.Client:
    """The hub's service REST API with the owner's SAS token."""
    return httpx.Client(
        base_url=f"https://{azure['iothub_hostname']}",
        verify=ssl.create_default_context(cafile=azure["ca_bundle"]),
        headers={"Authorization": owner_token(azure["iothub_service_connection_string"])},
        params={"api-version": "2021-04-12"},
    )


def observed(rest: httpx.Client, device_id: str) -> dict[str, Any]:
    """What the hub has seen of the device."""
    seen = rest.get("/_local/devices").raise_for_status().json()
    return seen.get(device_id, {"session": None, "refusals": []})
