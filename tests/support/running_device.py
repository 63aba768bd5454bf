"""A reference agent at work against a local Azure, in a thread of the test, and what it told so far."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any, Self

import httpx
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.sastoken import SasToken

from fleetcert.device.agent import Agent
from fleetcert.device.assembly import build_agent, build_world
from fleetcert.device.credential import Onboarding, OnboardingCredential
from fleetcert.device.events import AgentEvent, Happened
from fleetcert.device.glimpse import Glimpse, Held
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.runner import StopSignal, run
from fleetcert.local.fleet import FleetSite
from fleetcert.onboarding.authority import issue_device_credential, load_authority
from shared.contracts import RenewCertificate

OPTIONS = AgentOptions(first_pause=timedelta(milliseconds=100), longest_pause=timedelta(seconds=1))
PATIENCE_SECONDS = 20


@dataclass
class RunningDevice:
    """An agent in a thread of its own."""

    device_id: str
    directory: Path
    events: list[AgentEvent] = field(default_factory=list)
    signal: StopSignal = field(default_factory=StopSignal)

    def start(self, agent: Agent) -> Self:
        self.agent = agent
        self.thread = Thread(target=run, args=(agent, self.signal), name=self.device_id)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.signal.set()
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()

    @property
    def state_directory(self) -> Path:
        return self.directory / "state"

    @property
    def onboarding_pem(self) -> str:
        return (self.directory / "device.pem").read_text()

    def waits_for(self, event: Happened, count: int = 1) -> AgentEvent:
        """The `count`-th event of that kind, once it has happened."""
        found: list[AgentEvent] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = [e for e in self.events if e.event is event]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise AssertionError(f"{event} did not happen {count} times: {[e.to_wire() for e in self.events]}")

    def count(self, event: Happened) -> int:
        return sum(e.event is event for e in self.events)

    @property
    def held(self) -> Held:
        """The certificate in use."""
        current = Glimpse.of(self.state_directory).current
        assert current is not None
        return current


@dataclass
class Launcher:
    """Starts devices, with what a former start left on their disks, and stops them all in the end."""

    azure: dict[str, Any]
    folder: Path
    devices: list[RunningDevice] = field(default_factory=list)

    def __call__(
        self,
        device_id: str,
        adapt: Callable[[World], World] = lambda world: world,
        *,
        onboarding: Onboarding | None = None,
        options: AgentOptions = OPTIONS,
        passphrase: bytes | None = None,
        **address: Any,
    ) -> RunningDevice:
        """`adapt` may change the world that the device meets; `address` is what differs from the local Azure's."""
        device = RunningDevice(device_id, self.folder / device_id)
        self.devices.append(device)
        site = replace(FleetSite.from_azure(self.azure).address, **address)
        credential = onboarding or self._bootstrap(device)
        world = adapt(build_world(site, credential, device.signal, device.events.append))
        agent = build_agent(device_id, credential, device.state_directory, world, options, passphrase=passphrase)
        return device.start(agent)

    def stop(self) -> None:
        for device in self.devices:
            device.stop()

    def _bootstrap(self, device: RunningDevice) -> OnboardingCredential:
        if not device.directory.exists():
            site = FleetSite.from_azure(self.azure)
            authority = load_authority(site.ca_certificate, site.ca_key, site.root_certificate)
            issue_device_credential(device.directory, authority, device.device_id, key_type="ec")
        return OnboardingCredential.load(device.directory / "device-full-chain.pem", device.directory / "device.key")


def reported(registry: IoTHubRegistryManager, device_id: str) -> dict[str, Any]:
    properties: dict[str, Any] = registry.get_twin(device_id).properties.reported
    return properties


def send_command(registry: IoTHubRegistryManager, device: RunningDevice, command_id: str, **changes: Any) -> None:
    command = RenewCertificate(
        command_id=command_id,
        device_id=device.device_id,
        reason="windowOpen",
        thumbprint=device.held.thumbprint,
        valid_until=device.held.leaf.not_valid_after_utc,
        renew_by=device.held.leaf.not_valid_after_utc,
    )
    registry.send_c2d_message(
        device.device_id, replace(command, **changes).to_json().decode(), {"messageId": command_id}
    )


def set_status(registry: IoTHubRegistryManager, device_id: str, status: str) -> None:
    etag = registry.get_device(device_id).etag
    registry.update_device_with_certificate_authority(device_id, etag, status)


def dps_service(azure: dict[str, Any]) -> httpx.Client:
    """DPS's service API, authorised by SAS."""
    parts = dict(part.split("=", 1) for part in azure["dps_service_connection_string"].split(";"))
    token = SasToken(parts["HostName"], parts["SharedAccessKey"], parts["SharedAccessKeyName"])
    return httpx.Client(
        base_url=azure["dps_endpoint"],
        headers={"Authorization": str(token)},
        params={"api-version": "2025-07-01-preview"},
        verify=ssl.create_default_context(cafile=azure["ca_bundle"]),
    )


def block_at_dps(azure: dict[str, Any], device: RunningDevice) -> None:
    """A disabled individual enrollment for the device's own bootstrap certificate."""
    attestation = {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": device.onboarding_pem}}}}
    document = {"registrationId": device.device_id, "attestation": attestation, "provisioningStatus": "disabled"}
    with dps_service(azure) as service:
        service.put(f"/enrollments/{device.device_id}", json=document).raise_for_status()


def certificates_issued(azure: dict[str, Any], device_id: str) -> int:
    """How often ADR issued for the device."""
    client = httpx.Client(verify=ssl.create_default_context(cafile=azure["ca_bundle"]))
    token = client.get(
        azure["identity_endpoint"],
        params={"api-version": "2019-08-01", "resource": "https://management.azure.com"},
        headers={"X-IDENTITY-HEADER": azure["identity_header"]},
    ).json()["access_token"]
    listed = client.get(f"{azure['arm_endpoint']}/_local/certificates", headers={"Authorization": f"Bearer {token}"})
    client.close()
    return sum(one["deviceId"] == device_id for one in listed.raise_for_status().json())


def group_key(service: httpx.Client, group: str) -> bytes:
    """Makes a symmetric-key group with the default policy and returns its primary key."""
    document = {
        "enrollmentGroupId": group,
        "attestation": {"type": "symmetricKey"},
        "credentialPolicyName": "default",
    }
    service.put(f"/enrollmentGroups/{group}", json=document).raise_for_status()
    mechanism = service.post(f"/enrollmentGroups/{group}/attestationmechanism").raise_for_status().json()
    return base64.b64decode(mechanism["symmetricKey"]["primaryKey"])
