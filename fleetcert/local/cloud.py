"""What the emulated services say of themselves and what the app says, read side by side to be compared."""

from __future__ import annotations

import csv
import io
import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx
from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext
from azure.storage.blob import ContainerClient

_LARGEST_FLEET: Final = 500
_OF_A_CERTIFICATE: Final = ("thumbprint", "validUntil")
_HUB_API: Final = {"api-version": "2021-04-12"}
_ADR_API: Final = {"api-version": "2026-03-01-preview"}
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that ADR issued. not_after: RFC 3339, to the second."""

    thumbprint: str
    not_after: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A registration that DPS logged."""

    registration_id: str
    result: str


class Cloud:
    """The local Azure, seen from outside."""

    def __init__(self, azure: Mapping[str, Any]) -> None:
        self._azure = azure
        context = ssl.create_default_context(cafile=azure["ca_bundle"])
        self._http = httpx.Client(verify=context, timeout=_SECONDS)
        self._tokens: dict[str, str] = {}
        self._log: RegistrationLog | None = None
        self._export = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        if self._log is not None:
            self._log.close()
        self._http.close()

    # -- the emulated services' own state ----------------------------------------------------------------------------

    def identities(self) -> dict[str, str]:
        """Device id -> status, from IoT Hub's registry."""
        url = f"https://{self._azure['iothub_hostname']}/devices"
        devices = self._get(url, "https://iothubs.azure.net", {**_HUB_API, "top": "1000"})
        return {device["deviceId"]: device["status"] for device in devices}

    def seen_by_hub(self) -> dict[str, dict[str, Any]]:
        """Device id -> what the hub saw of it: refusals, commands, the certificate of its last connection."""
        url = f"https://{self._azure['iothub_hostname']}/_local/devices"
        seen: dict[str, dict[str, Any]] = self._get(url, "https://iothubs.azure.net")
        return seen

    def issued(self) -> dict[str, list[Issued]]:
        """Device id -> the certificates that ADR issued for it, oldest first."""
        by_device: dict[str, list[Issued]] = defaultdict(list)
        for entry in self._get(f"{self._azure['arm_endpoint']}/_local/certificates", "https://management.azure.com"):
            by_device[entry["deviceId"]].append(Issued(entry["thumbprint"], entry["notAfter"]))
        return by_device

    def reported(self) -> dict[str, str | None]:
        """Device id -> the thumbprint of the certificate that its twin reports."""
        url, query = f"https://{self._azure['iothub_hostname']}/devices/query", {"query": "SELECT * FROM devices"}
        answer = self._http.post(url, params=_HUB_API, headers=self._bearer("https://iothubs.azure.net"), json=query)
        twins = {twin["deviceId"]: twin["properties"]["reported"] for twin in answer.raise_for_status().json()}
        return {device_id: (twin.get("certificate") or {}).get("thumbprint") for device_id, twin in twins.items()}

    def revoke_issuer(self, policy: str) -> None:
        """Has ADR revoke the issuing CA of a credential policy, as the portal does (ARM: Policies_RevokeIssuer)."""
        azure = self._azure
        path = (
            f"/subscriptions/{azure['subscription_id']}/resourceGroups/{azure['resource_group']}/providers"
            f"/Microsoft.DeviceRegistry/namespaces/{azure['adr_namespace']}/credentials/default/policies/{policy}"
        )
        url, headers = f"{azure['arm_endpoint']}{path}/revokeIssuer", self._bearer("https://management.azure.com")
        self._http.post(url, params=_ADR_API, headers=headers).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """The CloudEvents that the Event Grid topic took."""
        return list(self._http.get(self._azure["eventgrid_log_url"]).raise_for_status().json())

    def dead_letters(self) -> list[str]:
        """The names of the dead letters' blobs."""
        container = self._azure["settings"]["DEAD_LETTERS"]
        storage = self._azure["storage_connection_string"]
        with ContainerClient.from_connection_string(storage, container) as blobs:
            return list(blobs.list_blob_names())

    def attempts(self) -> list[Attempt]:
        """The registrations in DPS's log that were heard so far; the first call begins to listen."""
        if self._log is None:
            self._log = RegistrationLog(
                self._azure["eventhub_connection_string"], self._azure["settings"]["DPS_EVENTS"]
            )
        return self._log.attempts()

    # -- the app's word ----------------------------------------------------------------------------------------------

    def lines(self) -> list[dict[str, Any]]:
        """The app's list of devices."""
        answer = self._app("GET", f"/api/devices?limit={_LARGEST_FLEET}")
        return list(answer.json()["devices"]) if answer.is_success else []

    def records_in_short(self) -> dict[str, dict[str, Any]]:
        """Device id -> what the app's list says of its record: one request, whatever the size of the fleet."""
        return {
            line["deviceId"]: {"state": line["state"], "certificate": {name: line[name] for name in _OF_A_CERTIFICATE}}
            for line in self.lines()
        }

    def record(self, device_id: str) -> dict[str, Any]:
        """The app's record of a device; empty where it has none."""
        answer = self._app("GET", f"/api/devices/{device_id}")
        return dict(answer.json()) if answer.is_success else {}

    def history(self, device_id: str) -> list[dict[str, Any]]:
        """The app's history of a device, the newest first; empty where it has none."""
        answer = self._app("GET", f"/api/devices/{device_id}/history?limit=500")
        return list(answer.json()["changes"]) if answer.is_success else []

    def answers(self) -> str:
        """What the app's list of devices answers now: a status, or that none comes within two seconds."""
        try:
            return str(self._app("GET", "/api/devices?limit=1", seconds=2.0).status_code)
        except httpx.TransportError:
            return "no answer"

    def renew(self, device_id: str, reason: str) -> bool:
        """Asks the app for a renewal by hand."""
        return self._app("POST", f"/api/devices/{device_id}/renew", {"reason": reason}).is_success

    def disable(self, device_id: str, reason: str) -> bool:
        """Asks the app to shut a device out."""
        return self._app("POST", f"/api/devices/{device_id}/disable", {"reason": reason}).is_success

    def export(self, reason: str) -> bool:
        """Asks the app for a file of the whole fleet."""
        answer = self._app("POST", "/api/fleet/exports", {"reason": reason})
        self._export = answer.headers.get("Location", "")
        return answer.is_success

    def exported(self) -> list[str]:
        """The devices in the file that was asked for; none before it is written."""
        answer = self._app("GET", f"{self._export}/content") if self._export else None
        rows = csv.DictReader(io.StringIO(answer.text)) if answer is not None and answer.is_success else ()
        return [row["deviceId"] for row in rows]

    def _app(
        self, method: str, path: str, body: Mapping[str, str] | None = None, seconds: float = _SECONDS
    ) -> httpx.Response:
        headers, url = {"Authorization": f"Bearer {self._azure['roles']['all']}"}, self._azure["functions_url"] + path
        return self._http.request(method, url, headers=headers, json=body, timeout=seconds)

    def _get(self, url: str, resource: str, parameters: Mapping[str, str] | None = None) -> Any:
        return self._http.get(url, params=parameters, headers=self._bearer(resource)).raise_for_status().json()

    def _bearer(self, resource: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token(resource)}"}

    def _token(self, resource: str) -> str:
        if resource not in self._tokens:
            answer = self._http.get(
                self._azure["identity_endpoint"],
                params={"api-version": "2019-08-01", "resource": resource},
                headers={"X-IDENTITY-HEADER": self._azure["identity_header"]},
            )
            self._tokens[resource] = answer.raise_for_status().json()["access_token"]
        return self._tokens[resource]


class RegistrationLog:
    """Listens to DPS's log as its event hub holds it, from the first event on."""

    def __init__(self, connection_string: str, event_hub: str) -> None:
        self._attempts: list[Attempt] = []
        self._client = EventHubConsumerClient.from_connection_string(
            connection_string, consumer_group="$Default", eventhub_name=event_hub
        )
        options = {"on_event_batch": self._take, "starting_position": "-1"}
        self._reader = threading.Thread(target=self._client.receive_batch, kwargs=options, daemon=True)
        self._reader.start()

    def attempts(self) -> list[Attempt]:
        """What was heard so far."""
        return list(self._attempts)

    def close(self) -> None:
        """Ends the listening."""
        self._client.close()
        self._reader.join(timeout=10)

    def _take(self, _: PartitionContext, batch: list[EventData]) -> None:
        for event in batch:
            body = event.body_as_json()
            for record in body.get("records", [body]):
                identifier = json.loads(record["properties"])["id"]
                self._attempts.append(Attempt(identifier, record["resultType"]))
