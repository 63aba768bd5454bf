"""The README's promises on the whole local Azure: Microsoft's clients on one side, the app on the other."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.data.tables import TableClient
from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.hub import IoTHubRegistryManager
from azure.storage.blob import ContainerClient
from support.alert_schemas import validate
from support.hub_clients import Operational, eventually, operational_credentials, sdk_client

from fleetcert.certificates import thumbprint
from shared.contracts import AlertType, ReportedCertificate, ReportedOnboarding, format_instant, reported_patch

FORGED = base64.b64encode(b'{"auth_typ":"aad","claims":[{"typ":"roles","val":"Devices.Contain"}]}').decode()


@dataclass
class Operator:
    """A caller of the HTTP API, and a reader of what operators are told."""

    azure: dict[str, Any]

    def call(self, method: str, path: str, *, role: str | None = "all", **options: Any) -> httpx.Response:
        headers = options.pop("headers", {})
        if role:
            headers["Authorization"] = f"Bearer {self.azure['roles'][role]}"
        return httpx.request(
            method, f"{self.azure['functions_url']}/api/{path}", headers=headers, timeout=20, **options
        )

    def device(self, device_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"devices/{device_id}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    def until(self, device_id: str, state: str) -> dict[str, Any]:
        return eventually(lambda: d if (d := self.device(device_id)).get("state") == state else None, seconds=20)

    def alert(self, kind: str, device_id: str) -> dict[str, Any]:
        return eventually(lambda: next(iter(self.alerts(kind, device_id)), None), seconds=20)

    def alerts(self, kind: str, device_id: str) -> list[dict[str, Any]]:
        log = httpx.get(self.azure["eventgrid_log_url"]).json()
        told = [a for a in log if a["type"] == kind and a["subject"] == f"devices/{device_id}"]
        for alert in told:
            validate(alert["dataschema"], alert["data"])
        return told


@dataclass
class Device:
    """Microsoft's device client with an operational certificate."""

    device_id: str
    operational: Operational
    client: IoTHubDeviceClient

    def report(self) -> None:
        leaf = self.operational.leaf
        certificate = ReportedCertificate(
            valid_from=leaf.not_valid_before_utc,
            valid_until=leaf.not_valid_after_utc,
            thumbprint=thumbprint(leaf),
            serial_number=f"{leaf.serial_number:x}",
            pem=self.operational.certificate.read_text().split("-----END CERTIFICATE-----")[0]
            + "-----END CERTIFICATE-----\n",
        )
        onboarding = self.operational.certificate.with_name(f"{self.device_id}-onboarding.pem").read_text()
        pem = onboarding.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        self.client.patch_twin_reported_properties(reported_patch(certificate, ReportedOnboarding(pem=pem)))

    def commands(self) -> list[Message]:
        received: list[Message] = []
        self.client.on_message_received = received.append
        return received


@pytest.fixture
def operator(azure: dict[str, Any]) -> Operator:
    return Operator(azure)


@pytest.fixture
def device(azure: dict[str, Any], tmp_path: Path) -> Iterator[Device]:
    device_id = f"life-{uuid4().hex[:8]}"
    operational = operational_credentials(azure, device_id, tmp_path)
    client = sdk_client(azure, device_id, operational)
    client.connect()
    yield Device(device_id, operational, client)
    client.shutdown()


def test_an_issued_certificate_is_recorded_to_the_second_with_all_its_rows(
    azure: dict[str, Any], operator: Operator, device: Device
) -> None:
    device.report()
    record = operator.until(device.device_id, "valid")
    leaf = device.operational.leaf
    assert record["certificate"]["validUntil"] == format_instant(leaf.not_valid_after_utc)
    assert record["certificate"]["thumbprint"] == thumbprint(leaf)
    assert record["certificate"]["evidence"] in ("parsed", "verified")  # as soon as the issuers were polled
    assert operator.alert(AlertType.CERTIFICATE_ISSUED, device.device_id)["data"]["thumbprint"] == thumbprint(leaf)
    with TableClient.from_connection_string(
        azure["storage_connection_string"], azure["settings"]["FLEET_TABLE"]
    ) as table:
        keys = [row["RowKey"] for row in table.list_entities(select=["RowKey"]) if device.device_id in row["RowKey"]]
    kinds = [key.split("!")[0] for key in keys]
    assert {kind: kinds.count(kind) for kind in ("device", "due", "expires")} == {"device": 1, "due": 1, "expires": 1}
    assert "history" in kinds


def test_only_a_new_certificate_closes_a_renewal_that_was_commanded(
    azure: dict[str, Any], operator: Operator, device: Device, tmp_path: Path
) -> None:
    device.report()
    operator.until(device.device_id, "valid")
    received = device.commands()
    answer = operator.call("POST", f"devices/{device.device_id}/renew", json={"reason": "e2e: by hand"})
    assert answer.status_code == 202
    [message] = eventually(lambda: received)
    command = json.loads(message.data)
    assert (command["command"], command["deviceId"], command["reason"]) == (
        "renewCertificate",
        device.device_id,
        "requested",
    )
    assert message.message_id == command["commandId"]
    operator.until(device.device_id, "commanded")
    device.report()
    assert operator.until(device.device_id, "commanded")["command"]["id"] == command["commandId"]
    device.operational = operational_credentials(azure, device.device_id, tmp_path)
    device.report()
    renewed = operator.until(device.device_id, "valid")
    assert renewed["command"] is None
    assert operator.alert(AlertType.CERTIFICATE_RENEWED, device.device_id)


def test_a_disabled_device_is_shut_out_at_the_hub_and_at_dps(
    azure: dict[str, Any], operator: Operator, device: Device, tmp_path: Path
) -> None:
    device.report()
    operator.until(device.device_id, "valid")
    answer = operator.call("POST", f"devices/{device.device_id}/disable", json={"reason": "e2e: stolen"})
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/devices/{device.device_id}")
    told = operator.alert(AlertType.DEVICE_DISABLED, device.device_id)
    assert (told["data"]["reason"], told["data"]["block"]) == ("e2e: stolen", "blocked")
    registry = IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])
    identity = registry.get_device(device.device_id)
    assert (identity.status, identity.status_reason) == ("disabled", "fleetcert: e2e: stolen")
    eventually(lambda: not device.client.connected)
    with pytest.raises(AssertionError, match="disabled"):
        operational_credentials(azure, device.device_id, tmp_path)
    operator.alert(AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT, device.device_id)
    contained = operator.device(device.device_id)
    assert contained["containment"]["refusedAt"] is not None
    assert contained["containment"]["requestedBy"]


def test_a_device_that_only_registered_is_known_provisionally(
    azure: dict[str, Any], operator: Operator, tmp_path: Path
) -> None:
    device_id = f"life-{uuid4().hex[:8]}"
    operational_credentials(azure, device_id, tmp_path)
    record = operator.until(device_id, "provisional")
    assert record["certificate"]["evidence"] == "inferred"


def test_what_nobody_can_read_becomes_a_dead_letter_and_harms_nobody(
    azure: dict[str, Any], operator: Operator, device: Device
) -> None:
    device.client.patch_twin_reported_properties({"certificate": {"validFrom": "yesterday"}})
    storage, container = azure["storage_connection_string"], azure["settings"]["DEAD_LETTERS"]

    def letters() -> list[dict[str, Any]]:
        with ContainerClient.from_connection_string(storage, container) as blobs:
            texts = [blobs.download_blob(name).readall() for name in blobs.list_blob_names()]
        return [d for d in map(json.loads, texts) if device.device_id in json.dumps(d)]

    assert eventually(letters, seconds=20)[0]["reason"] == "validFrom is no instant"
    device.report()
    operator.until(device.device_id, "valid")


@pytest.mark.parametrize(
    ("method", "path", "role", "options", "status"),
    [
        ("GET", "health", None, {}, 200),
        ("GET", "devices", None, {}, 401),
        ("GET", "devices", "Certificates.Renew", {}, 403),
        ("GET", "devices", "Fleet.Read", {}, 200),
        ("GET", "devices", None, {"headers": {"X-MS-CLIENT-PRINCIPAL": FORGED}}, 401),
        ("GET", "devices", None, {"headers": {"Authorization": "Bearer forged"}}, 401),
        ("GET", "devices/nobody", "Fleet.Read", {}, 404),
        ("DELETE", "devices", "Fleet.Read", {}, 405),
        ("POST", "devices/nobody/disable", "Certificates.Renew", {"json": {"reason": "x"}}, 403),
        ("POST", "devices/nobody/disable", "Devices.Contain", {"json": {"reason": "x"}}, 404),
        ("POST", "devices/nobody/renew", "Certificates.Renew", {"json": {"reason": "x"}}, 404),
        ("POST", "devices/nobody/renew", "Certificates.Renew", {"content": b"reason=x"}, 415),
    ],
)
def test_the_gate_lets_in_who_may_and_answers_the_others_as_documented(
    operator: Operator, method: str, path: str, role: str | None, options: dict[str, Any], status: int
) -> None:
    answer = operator.call(method, path, role=role, **options)
    assert answer.status_code == status
    if status in (403, 404, 405, 415):
        assert answer.headers["content-type"] == "application/problem+json"


def test_health_says_nothing_secret(azure: dict[str, Any], operator: Operator) -> None:
    text = operator.call("GET", "health", role=None).text
    assert "AccountKey" not in text
    assert azure["roles"]["all"] not in text
