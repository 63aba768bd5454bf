"""What the app tells Application Insights while a device lives: through the real exporter, over the local Azure."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.iot.device import IoTHubDeviceClient, Message
from support.hub_clients import Operational, eventually, operational_credentials, sdk_client
from support.insights import base, measured, operation, received, wait_for
from support.local_azure import Up

from fleetcert.certificates import thumbprint
from shared.contracts import ReportedCertificate, ReportedOnboarding, reported_patch

GAUGES = {
    "fleetcert.certificates",
    "fleetcert.certificates.expiring",
    "fleetcert.sweep.age",
    "fleetcert.sweep.last_success",
    "fleetcert.containment.in_progress",
    "fleetcert.containment.unverified",
    "fleetcert.dead_letters.waiting",
    "fleetcert.poison.waiting",
    "fleetcert.issuers.earliest_expiry",
}


def spans(azure: dict[str, Any], trace: str) -> dict[str, Any]:
    """The spans of a trace by name."""
    return {base(i)["name"]: i for i in received(azure, "RemoteDependencyData") if operation(i) == trace}


def test_a_request_is_followed_from_its_caller_into_the_table(azure: dict[str, Any]):
    trace = uuid.uuid4().hex
    headers = {
        "Authorization": f"Bearer {azure['roles']['Fleet.Read']}",
        "traceparent": f"00-{trace}-{'ab' * 8}-01",
    }
    device = f"nobody-{trace[:8]}"
    assert httpx.get(f"{azure['functions_url']}/api/devices/{device}", headers=headers).status_code == 404
    found = wait_for(lambda: spans(azure, trace))
    shown = found["show_device"]
    assert base(shown)["properties"]["fleetcert.device.id"] == device
    assert shown["tags"]["ai.cloud.role"] == "fleetcert"
    assert found["get fleet"]["tags"]["ai.operation.parentId"] == base(shown)["id"]
    assert (base(found["get fleet"])["type"], base(found["get fleet"])["data"]) == ("azure.tables", "get")


def test_what_an_operator_watches_is_reported_with_zeros(azure: dict[str, Any]):
    def names() -> set[str]:
        found = {name for name, _, _ in measured(received(azure, "MetricData"))}
        return found if found >= GAUGES else set()

    assert wait_for(names) >= GAUGES
    points = measured(received(azure, "MetricData"))
    states = {a["state"] for name, _, a in points if name == "fleetcert.certificates"}
    assert {"unknown", "valid", "due", "overdue", "expired", "disabled"} <= states, "a state without devices is zero"
    commands = [value for name, value, _ in points if name == "fleetcert.commands.sent"]
    assert commands, "a counter that has counted nothing is zero"


class Device:
    """A device that reports its certificates and keeps what it is told."""

    def __init__(self, azure: dict[str, Any], folder: Path) -> None:
        self.device_id = f"told-{uuid.uuid4().hex[:8]}"
        self._azure, self._folder = azure, folder
        self.received: list[Message] = []
        self.client: IoTHubDeviceClient = sdk_client(azure, self.device_id, self._renew())
        self.client.on_message_received = self.received.append
        self.client.connect()

    def _renew(self) -> Operational:
        self.operational = operational_credentials(self._azure, self.device_id, self._folder)
        return self.operational

    def report(self, *, renews: bool = False) -> None:
        leaf = (self._renew() if renews else self.operational).leaf
        pem = self.operational.certificate.read_text().partition("-----END CERTIFICATE-----")
        onboarding = (
            (self._folder / f"{self.device_id}-onboarding.pem").read_text().partition("-----END CERTIFICATE-----")
        )
        certificate = ReportedCertificate(
            valid_from=leaf.not_valid_before_utc,
            valid_until=leaf.not_valid_after_utc,
            thumbprint=thumbprint(leaf),
            serial_number=f"{leaf.serial_number:x}",
            pem="".join(pem[:2]) + "\n",
        )
        patch = reported_patch(certificate, ReportedOnboarding(pem="".join(onboarding[:2]) + "\n"))
        self.client.patch_twin_reported_properties(patch)

    def until(self, state: str) -> None:
        def is_so() -> bool:
            answer = self.ask("GET", "")
            return answer.status_code == 200 and answer.json()["state"] == state

        eventually(is_so, seconds=20)

    def ask(self, method: str, what: str, reason: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._azure['roles']['all']}"}
        url = f"{self._azure['functions_url']}/api/devices/{self.device_id}{what}"
        return httpx.request(method, url, headers=headers, json={"reason": reason} if reason else None, timeout=20)


@pytest.fixture(scope="module")
def lived(azure: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A device that was issued a certificate, asked to renew, has renewed, and was shut out."""
    device = Device(azure, tmp_path_factory.mktemp("device"))
    device.report()
    device.until("valid")
    assert device.ask("POST", "/renew", "e2e: by hand").status_code == 202
    eventually(lambda: device.received)
    device.until("commanded")
    device.report(renews=True)
    device.until("valid")
    assert device.ask("POST", "/disable", "e2e: stolen").status_code == 202
    device.until("disabled")
    eventually(lambda: (device.ask("GET", "").json()["containment"] or {}).get("disconnectedAt"), seconds=30)
    yield device
    device.client.shutdown()


def lines_about(azure: dict[str, Any], device_id: str) -> list[dict[str, str]]:
    """What the log says of a device, in its order."""
    properties = [base(item).get("properties", {}) for item in received(azure, "MessageData")]
    return [p for p in properties if p.get("fleetcert.device.id") == device_id]


def test_a_devices_life_is_in_the_log_with_reasons_and_actors(azure: dict[str, Any], lived: Device):
    def told() -> list[dict[str, str]]:
        lines = lines_about(azure, lived.device_id)
        return lines if "disconnectionVerified" in {line.get("fleetcert.kind") for line in lines} else []

    lines = {line["fleetcert.kind"]: line for line in wait_for(told)}
    assert lines.keys() >= {
        *("certificateIssued", "renewalRequested", "renewalCommanded", "commandSent", "certificateRenewed"),
        *("disableRequested", "hubIdentityDisabled", "registrationBlocked", "disconnectionVerified"),
    }
    assert lines["disableRequested"]["fleetcert.reason"] == "e2e: stolen"
    assert uuid.UUID(lines["disableRequested"]["fleetcert.actor"]), "the object id of who asked"


def test_a_command_is_followed_from_its_decision_to_the_renewal_by_its_id(azure: dict[str, Any], lived: Device):
    command = json.loads(lived.received[0].data)["commandId"]
    trace = command.replace("-", "")
    found = wait_for(lambda: f if "certificateRenewed" in (f := spans(azure, trace)) else {})
    assert found.keys() >= {
        *("renewalCommanded", "send renewal-commands", "send messages/devicebound", "commandSent"),
        "certificateRenewed",
    }
    assert {base(item)["properties"]["fleetcert.device.id"] for item in found.values()} == {lived.device_id}
    assert all("_MS.links" in base(item)["properties"] for item in found.values())
    sent = found["send messages/devicebound"]
    linked = {link["operation_Id"] for link in json.loads(base(sent)["properties"]["_MS.links"])}
    [invocation] = [
        item for trace in linked for name, item in spans(azure, trace).items() if name == "send_renewal_command"
    ]
    assert base(invocation)["properties"]["fleetcert.command.id"] == command
    assert not lived.received[0].custom_properties.get("traceparent"), "a device gets no context"


def test_a_twin_event_and_the_recorded_change_are_one_trace(azure: dict[str, Any], lived: Device):
    [issued] = [
        item
        for item in received(azure, "MessageData")
        if base(item).get("properties", {}).get("fleetcert.kind") == "certificateIssued"
        and base(item).get("properties", {}).get("fleetcert.device.id") == lived.device_id
    ]
    found = spans(azure, operation(issued))
    assert found.keys() >= {"record_hub_events", "transaction fleet"}
    assert found["transaction fleet"]["tags"]["ai.operation.parentId"] == base(found["record_hub_events"])["id"]


def test_requests_to_the_services_are_seen_without_their_queries(azure: dict[str, Any], lived: Device):
    requests = [base(item) for item in received(azure, "RemoteDependencyData") if base(item)["type"] == "HTTP"]
    targets = {request["target"] for request in requests}
    assert {azure["iothub_hostname"], azure["dps_endpoint"].removeprefix("https://")} <= targets
    assert not [request["data"] for request in requests if "?" in request["data"]]


def secrets_of(azure: dict[str, Any]) -> set[str]:
    """Everything that the local Azure must keep to itself."""
    strings = [value for name, value in azure.items() if name.endswith("connection_string")]
    keys = {
        part.partition("=")[2] for text in strings for part in text.split(";") if "Key=" in part.partition("=")[0] + "="
    }
    private = "".join(Path(azure["onboarding"]["ca_key"]).read_text().splitlines()[1:-1])
    public = {part.partition("=")[2] for part in azure["applicationinsights_connection_string"].split(";")}
    return {*keys, *azure["roles"].values(), azure["identity_header"], azure["eventgrid_key"], private} - public


def test_nothing_secret_is_in_what_was_exported_or_logged(azure: dict[str, Any], running: Up, lived: Device):
    wait_for(lambda: lines_about(azure, lived.device_id))
    exported = json.dumps(received(azure))
    logged = "".join(file.read_text(errors="replace") for file in running.folder.glob("*.log"))
    known = secrets_of(azure)
    assert len(known) >= 8
    for text in (exported, logged):
        assert len(text) > 1000
        assert [secret[:4] for secret in known if secret in text] == []
        assert re.findall(r"-----BEGIN|AccountKey=|SharedAccessKey=|SharedAccessSignature |[?&]sig=", text) == []
        assert re.findall(r"eyJ[\w-]{20,}\.eyJ", text) == [], "a bearer token"
