"""Every way in and every way to renew: the seed's own files, certificates and keys, HTTPS and MQTT, DPS and hub."""

from __future__ import annotations

import base64
import hmac
import queue
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.identity import ManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager
from azure.mgmt.deviceregistry import DeviceRegistryMgmtClient
from azure.mgmt.iothubprovisioningservices import IotDpsClient
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support.running_device import (
    OPTIONS,
    Launcher,
    RunningDevice,
    certificates_issued,
    dps_service,
    group_key,
    reported,
    send_command,
    set_status,
)
from support.seed_files import SeedFiles

from fleetcert import device
from fleetcert.device.assembly import Protocol
from fleetcert.device.credential import OnboardingCredential, SymmetricKeyCredential
from fleetcert.device.csr import KeyKind
from fleetcert.device.events import Happened
from fleetcert.device.messages import Message
from fleetcert.device.ports import Way
from fleetcert.local.fleet import FleetSite
from fleetcert.onboarding.authority import issue_device_credential, load_authority
from shared.errors import InfrastructureFault

ARM_SCOPE = "https://management.azure.com/.default"
RENEWALS = 3


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
def start(azure: dict[str, Any], tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(azure, tmp_path)
    yield launcher
    launcher.stop()


def renew(registry: IoTHubRegistryManager, device: RunningDevice, times: int = RENEWALS, **command: Any) -> set[str]:
    """Renews by command, one after the other; the thumbprints, the first one's among them."""
    device.waits_for(Happened.REPORTED)
    thumbprints = {device.held.thumbprint}
    for number in range(1, times + 1):
        send_command(registry, device, unique("renew"), **command)
        renewed = device.waits_for(Happened.RENEWED, count=number)
        assert renewed.detail["replaced"] in thumbprints
        # A report of the certificate, and one of the answer to the command.
        device.waits_for(Happened.REPORTED, count=1 + 2 * number)
        assert reported(registry, device.device_id)["certificate"]["thumbprint"] == renewed.thumbprint
        thumbprints.add(device.held.thumbprint)
    return thumbprints


# -- the seed's own files --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seed_device(
    azure: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], OnboardingCredential]]:
    """The seed's steps 2, 5, 6 and 7, with OpenSSL and with the SDK that `az` uses."""
    files = SeedFiles(tmp_path_factory.mktemp("seed") / "certs", unique("my-device"))
    files.make_authorities()
    name, where = f"{files.registration_id}-intermediate", (azure["resource_group"], azure["dps_name"])
    with (
        IotDpsClient(
            ManagedIdentityCredential(),
            azure["subscription_id"],
            base_url=azure["arm_endpoint"],
            credential_scopes=[ARM_SCOPE],
        ) as dps,
        dps_service(azure) as service,
    ):
        pem = (files.folder / "ca/intermediate-ca.pem").read_bytes()
        document = {"properties": {"certificate": base64.b64encode(pem).decode()}}
        uploaded = dps.dps_certificate.create_or_update(*where, name, document)
        challenge = dps.dps_certificate.generate_verification_code(name, *where, **_present(uploaded))
        proof = {"certificate": files.prove(challenge.properties.verification_code)}
        verified = dps.dps_certificate.verify_certificate(name, *where, proof, **_present(challenge))
        assert verified.properties.is_verified
        group = {
            "enrollmentGroupId": unique("my-device-group"),
            "attestation": {"type": "x509", "x509": {"caReferences": {"primary": name}}},
            "credentialPolicyName": "default",
            "provisioningStatus": "enabled",
        }
        service.put(f"/enrollmentGroups/{group['enrollmentGroupId']}", json=group).raise_for_status()
        yield files.make_device
        service.delete(f"/enrollmentGroups/{group['enrollmentGroupId']}")


def _present(resource: Any) -> dict[str, Any]:
    return {"etag": resource.etag, "match_condition": MatchConditions.IfNotModified}


@pytest.mark.parametrize("protocol", Protocol)
def test_a_device_with_the_seeds_own_openssl_files_renews_three_times_by_dps_and_three_times_by_its_hub(
    azure: dict[str, Any],
    start: Launcher,
    registry: IoTHubRegistryManager,
    seed_device: Callable[[], OnboardingCredential],
    protocol: Protocol,
) -> None:
    onboarding = seed_device()
    name = onboarding.leaf.subject.rfc4514_string().removeprefix("CN=")
    before = certificates_issued(azure, name)
    device = start(name, onboarding=onboarding, dps_protocol=protocol)
    by_dps = renew(registry, device, via="dps")
    assert device.count(Happened.TURNED_TO_DPS) == 0
    device.stop()
    again = start(name, onboarding=onboarding, dps_protocol=protocol)
    again.waits_for(Happened.CONNECTED)
    again.events.append(replace(device.events[-1], event=Happened.REPORTED))  # nothing new to report after a restart
    by_hub = renew(registry, again, via="iothub")
    assert again.count(Happened.TURNED_TO_DPS) == 0
    assert again.count(Happened.REGISTERED) == 0
    assert len(by_dps | by_hub) == 1 + 2 * RENEWALS
    assert certificates_issued(azure, name) - before == 1 + 2 * RENEWALS
    twin = reported(registry, name)
    assert twin["onboarding"]["pem"].strip() == (onboarding.certificate_file.parent / "device.pem").read_text().strip()


# -- other ways in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", Protocol)
def test_a_device_with_a_derived_symmetric_key_is_onboarded_and_renews(
    azure: dict[str, Any], start: Launcher, registry: IoTHubRegistryManager, protocol: Protocol
) -> None:
    group, name = unique("keys"), unique("by-key")
    with dps_service(azure) as service:
        key = group_key(service, group)
        own = SymmetricKeyCredential(hmac.digest(key, name.encode(), "sha256"))
        device = start(name, onboarding=own, dps_protocol=protocol)
        assert len(renew(registry, device, times=1, via="dps")) == 2
        service.delete(f"/enrollmentGroups/{group}")
    assert "onboarding" not in reported(registry, name) or reported(registry, name)["onboarding"] == {}


@pytest.mark.parametrize("protocol", Protocol)
def test_a_wrong_symmetric_key_is_refused_and_the_device_backs_off(
    azure: dict[str, Any], start: Launcher, protocol: Protocol
) -> None:
    group, name = unique("keys"), unique("by-wrong-key")
    with dps_service(azure) as service:
        group_key(service, group)
        device = start(name, onboarding=SymmetricKeyCredential(bytes(32)), dps_protocol=protocol)
        refused = device.waits_for(Happened.REFUSED)
        assert (refused.detail["by"], str(refused.detail["code"])[:3]) == ("DPS", "401")
        device.waits_for(Happened.BLOCKED, count=2)
        service.delete(f"/enrollmentGroups/{group}")


@pytest.mark.parametrize(
    ("kind", "key_type"),
    [
        (KeyKind.P384, ec.EllipticCurvePublicKey),
        (KeyKind.P256, ec.EllipticCurvePublicKey),
        (KeyKind.RSA, rsa.RSAPublicKey),
    ],
)
@pytest.mark.parametrize("way", Way)
def test_keys_of_every_kind_encrypted_on_the_disk_are_certified_and_renewed(
    start: Launcher, registry: IoTHubRegistryManager, kind: KeyKind, key_type: type, way: Way
) -> None:
    options = replace(OPTIONS, key_kind=kind, renew_by=way)
    device = start(unique(f"kind-{kind}"), options=options, passphrase=b"correct horse")
    assert len(renew(registry, device, times=1)) == 2
    assert isinstance(device.held.leaf.public_key(), key_type)
    (key,) = device.state_directory.glob("*.key")
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in key.read_bytes()


# -- what a hub does -------------------------------------------------------------------------------------------------


@pytest.fixture
def adr(azure: dict[str, Any]) -> Iterator[DeviceRegistryMgmtClient]:
    with DeviceRegistryMgmtClient(
        ManagedIdentityCredential(),
        azure["subscription_id"],
        base_url=azure["arm_endpoint"],
        credential_scopes=[ARM_SCOPE],
    ) as client:
        yield client


def test_a_device_that_was_revoked_comes_back_through_dps_by_itself(
    azure: dict[str, Any], start: Launcher, registry: IoTHubRegistryManager, adr: DeviceRegistryMgmtClient
) -> None:
    name = unique("revoked")
    device = start(name)
    device.waits_for(Happened.REPORTED)
    old = device.held
    adr.namespace_devices.begin_revoke(
        azure["resource_group"], azure["adr_namespace"], name, {"disable": False}
    ).result()
    set_status(registry, name, "disabled")  # revocation ends no session, this does
    device.waits_for(Happened.DISCONNECTED)
    set_status(registry, name, "enabled")
    device.waits_for(Happened.CONNECTED, count=2)
    device.waits_for(Happened.REPORTED, count=2)
    assert device.held.thumbprint != old.thumbprint
    assert reported(registry, name)["certificate"]["thumbprint"] == device.held.thumbprint


def test_a_hub_that_will_not_issue_loses_the_device_to_dps(
    azure: dict[str, Any], start: Launcher, registry: IoTHubRegistryManager
) -> None:
    class Disowned:
        """A hub that knows the device under another name where it asks for a certificate."""

        def __init__(self, hub: Any) -> None:
            self._hub = hub

        def connect(self, *arguments: Any) -> Any:
            session = self._hub.connect(*arguments)
            honest = session.request_certificate
            session.request_certificate = lambda request: honest(replace(request, request_id="x"))
            return session

    device = start(unique("disowned"), lambda world: replace(world, hub=Disowned(world.hub)))
    renew(registry, device, times=1, via="iothub")
    turned = device.waits_for(Happened.TURNED_TO_DPS)
    assert "400004" in turned.detail["reason"]


def test_an_identity_that_was_deleted_and_made_anew_is_told_of_the_certificate_again(
    start: Launcher, registry: IoTHubRegistryManager
) -> None:
    name = unique("reborn")
    device = start(name)
    device.waits_for(Happened.REPORTED)
    registry.delete_device(name)
    device.waits_for(Happened.REPORTED, count=2)
    assert reported(registry, name)["certificate"]["thumbprint"] == device.held.thumbprint


def test_an_application_shares_the_agents_connection(start: Launcher, registry: IoTHubRegistryManager) -> None:
    name, heard = unique("library"), list[Message]()
    device = start(name, lambda world: replace(world, on_message=heard.append))
    device.waits_for(Happened.REPORTED)
    device.agent.send(Message(b'{"temperature": 21}', {"unit": "C"}))
    registry.send_c2d_message(name, "open the valve", {"messageId": "m-1", "valve": "left"})
    device.waits_for(Happened.COMMAND_IGNORED)
    assert heard[0].body == b"open the valve"
    assert heard[0].properties["valve"] == "left"


def test_the_librarys_own_names_are_enough_to_run_a_device(azure: dict[str, Any], tmp_path: Path) -> None:
    site = FleetSite.from_azure(azure)
    authority = load_authority(site.ca_certificate, site.ca_key, site.root_certificate)
    name = unique("embedded")
    files = issue_device_credential(tmp_path / "device", authority, name, key_type="ec")
    told: queue.Queue[device.Happened] = queue.Queue()
    stop, onboarding = device.StopSignal(), device.OnboardingCredential.load(files.full_chain, files.key)
    world = device.build_world(site.address, onboarding, stop, lambda event: told.put(event.event))
    agent = device.build_agent(name, onboarding, tmp_path / "state", world)
    with device.running(agent, stop):
        while told.get(timeout=20) is not device.Happened.REPORTED:
            pass
        agent.send(device.Message(b"21"))
        assert agent.state is device.State.COMMITTED or agent.state is device.State.OPERATIONAL
    with pytest.raises(InfrastructureFault):
        agent.send(device.Message(b"22"))
