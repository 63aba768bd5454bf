"""The local Azure as the scenarios use it: what it has seen of a device, and what an operator would do to it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx
from azure.iot.hub import IoTHubRegistryManager

from fleetcert.local.conformance.events import Registrations, TwinPatches

_HUB: Final = "https://iothubs.azure.net"
_ARM: Final = "https://management.azure.com"
_DPS: Final = "https://azure-devices-provisioning.net"
_HUB_API: Final = {"api-version": "2021-04-12"}
_DPS_API: Final = {"api-version": "2025-07-01-preview"}
_ADR_API: Final = {"api-version": "2026-03-01-preview"}


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that ADR issued. key: its subject key identifier."""

    thumbprint: str
    not_after: str
    key: str


class ConformanceCloud:
    """One local Azure. Safe for the threads of several scenarios."""

    def __init__(self, azure: Mapping[str, Any]) -> None:
        self.azure = azure
        self._http = httpx.Client(verify=ssl.create_default_context(cafile=azure["ca_bundle"]), timeout=15)
        self._tokens: dict[str, str] = {}
        self._sending = threading.Lock()  # azure-iot-hub is unsafe to share between threads
        self._sender = IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])
        events, names = azure["eventhub_connection_string"], azure["settings"]
        self.patches = TwinPatches(events, names["IOT_EVENTS"])
        self.registrations = Registrations(events, names["DPS_EVENTS"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.patches.close()
        self.registrations.close()
        self._http.close()

    # -- what was seen -----------------------------------------------------------------------------------------------

    def seen(self, device_id: str) -> dict[str, Any]:
        """What the hub saw of the device: session, refusals, messages."""
        every = self._get(f"https://{self.azure['iothub_hostname']}/_local/devices", _HUB, {})
        found: dict[str, Any] = every.get(device_id, {})
        return found

    def connected_with(self, device_id: str) -> str | None:
        """The thumbprint of the certificate that the device is connected with at this moment."""
        session = self.seen(device_id).get("session")
        return session["certificate"]["thumbprint"] if session and session["certificate"] else None

    def refusals(self, device_id: str) -> int:
        """How often the hub turned the device away."""
        return len(self.seen(device_id).get("refusals", ()))

    def issued(self, device_id: str) -> list[Issued]:
        """The certificates that ADR issued for the device, oldest first."""
        listed = self._get(f"{self.azure['arm_endpoint']}/_local/certificates", _ARM, {})
        return [
            Issued(one["thumbprint"], one["notAfter"], one["key"]) for one in listed if one["deviceId"] == device_id
        ]

    def twin(self, device_id: str) -> dict[str, Any]:
        """The reported properties; empty for a device that is not known."""
        answer = self._ask("GET", f"https://{self.azure['iothub_hostname']}/twins/{device_id}", _HUB, _HUB_API)
        reported: dict[str, Any] = answer.json()["properties"]["reported"] if answer.is_success else {}
        return reported

    # -- what an operator does ---------------------------------------------------------------------------------------

    def send(self, device_id: str, body: bytes, message_id: str) -> None:
        """A cloud-to-device message."""
        with self._sending:
            self._sender.send_c2d_message(device_id, body.decode(), {"messageId": message_id})

    def set_status(self, device_id: str, status: str) -> None:
        """Enables or disables the device's identity in the hub."""
        url = f"https://{self.azure['iothub_hostname']}/devices/{device_id}"
        identity = self._get(url, _HUB, _HUB_API)
        self._put(url, _HUB, _HUB_API, {**identity, "status": status}, {"If-Match": "*"})

    def revoke(self, device_id: str) -> None:
        """Makes every certificate of the device worthless."""
        url = f"{self._namespace}/devices/{device_id}/revoke"
        self._ask("POST", url, _ARM, _ADR_API, {"disable": False}).raise_for_status()

    def put_policy(self, name: str, validity_seconds: int) -> None:
        """A credential policy with an issuing CA of its own, which the hub trusts after `synchronize`."""
        leaf = {"leafCertificateConfiguration": {"validityPeriodInSeconds": validity_seconds}}
        document = {"properties": {"certificate": {"certificateAuthorityConfiguration": {"keyType": "ECC"}, **leaf}}}
        self._put(f"{self._namespace}/credentials/default/policies/{name}", _ARM, _ADR_API, document)

    def synchronize(self) -> None:
        """Brings all issuing CAs to the hub."""
        self._ask("POST", f"{self._namespace}/credentials/default/synchronize", _ARM, _ADR_API).raise_for_status()

    def put_group(self, name: str, authority: Path, policy: str) -> None:
        """An enrollment group of the devices whose bootstrap certificates this CA (PEM) issued."""
        signing = {"signingCertificates": {"primary": {"certificate": authority.read_text()}}}
        document = {
            "enrollmentGroupId": name,
            "attestation": {"type": "x509", "x509": signing},
            "credentialPolicyName": policy,
        }
        self._put(f"{self.azure['dps_endpoint']}/enrollmentGroups/{name}", _DPS, _DPS_API, document)

    def block(self, device_id: str, certificate: Path) -> None:
        """A disabled individual enrollment for the device's own bootstrap certificate (PEM)."""
        primary = {"clientCertificates": {"primary": {"certificate": certificate.read_text()}}}
        document = {
            "registrationId": device_id,
            "attestation": {"type": "x509", "x509": primary},
            "provisioningStatus": "disabled",
        }
        self._put(f"{self.azure['dps_endpoint']}/enrollments/{device_id}", _DPS, _DPS_API, document)

    def unblock(self, device_id: str) -> None:
        """Removes that enrollment: the group counts again."""
        url = f"{self.azure['dps_endpoint']}/enrollments/{device_id}"
        self._ask("DELETE", url, _DPS, _DPS_API).raise_for_status()

    # -- private -----------------------------------------------------------------------------------------------------

    @property
    def _namespace(self) -> str:
        azure = self.azure
        group = (
            f"{azure['arm_endpoint']}/subscriptions/{azure['subscription_id']}/resourceGroups/{azure['resource_group']}"
        )
        return f"{group}/providers/Microsoft.DeviceRegistry/namespaces/{azure['adr_namespace']}"

    def _get(self, url: str, resource: str, parameters: Mapping[str, str]) -> Any:
        return self._ask("GET", url, resource, parameters).raise_for_status().json()

    def _put(
        self,
        url: str,
        resource: str,
        parameters: Mapping[str, str],
        document: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._ask("PUT", url, resource, parameters, document, headers).raise_for_status()

    def _ask(
        self,
        method: str,
        url: str,
        resource: str,
        parameters: Mapping[str, str],
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        authorized = {"Authorization": f"Bearer {self._token(resource)}", **(headers or {})}
        return self._http.request(method, url, params=parameters, json=document, headers=authorized)

    def _token(self, resource: str) -> str:
        if resource not in self._tokens:
            answer = self._http.get(
                self.azure["identity_endpoint"],
                params={"api-version": "2019-08-01", "resource": resource},
                headers={"X-IDENTITY-HEADER": self.azure["identity_header"]},
            )
            self._tokens[resource] = answer.raise_for_status().json()["access_token"]
        return self._tokens[resource]
