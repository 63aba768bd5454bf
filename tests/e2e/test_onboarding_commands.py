"""`fleetcert onboard` beyond the page: fleets, keys, individual enrollments, later generations, and what is refused."""

from __future__ import annotations

import csv
import json
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.iot.device import ProvisioningDeviceClient
from azure.storage.blob import ContainerClient
from support.command_line import Terminal
from support.hub_clients import Operational, dps_client, eventually, register
from support.local_azure import Up
from support.onboarding import outcomes

from fleetcert.certificates import common_name_of
from fleetcert.onboarding.attestations import ByAuthority
from fleetcert.onboarding.authority import create_hierarchy
from fleetcert.onboarding.connecting import certificates_of, enrollments_of
from fleetcert.onboarding.enrollment_steps import EnrollmentStep
from fleetcert.onboarding.ports import CertificateService, EnrollmentService
from fleetcert.onboarding.possession import ProveAuthority, UploadAuthority, request_code
from fleetcert.onboarding.steps import Verdict
from fleetcert.onboarding.target import Target
from fleetcert.onboarding.terms import CredentialPolicy, Terms
from fleetcert.onboarding.workspace import Workspace, read_certificate
from shared.errors import Conflict, InfrastructureFault, NotFound


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    return tmp_path / "certs"


@pytest.fixture
def terminal(running: Up, azure: dict[str, Any], certs: Path) -> Terminal:
    """Beside the local Azure, with a folder of its own for certificates."""
    return Terminal(running.folder.parent, FLEETCERT_CERTS=str(certs))


@pytest.fixture
def target(running: Up, azure: dict[str, Any]) -> Target:
    """The local Azure, as the commands find it; the session's environment has its identity."""
    return Target.of(None, None, None, running.azure_file)


@pytest.fixture
async def certificates(target: Target) -> AsyncIterator[CertificateService]:
    async with certificates_of(target) as service:
        yield service


@pytest.fixture
async def enrollments(target: Target) -> AsyncIterator[EnrollmentService]:
    async with enrollments_of(target) as service:
        yield service


# -- fleets ------------------------------------------------------------------------------------------------------------


def test_a_fleet_is_issued_imported_by_the_app_and_each_device_gets_in(
    terminal: Terminal, azure: dict[str, Any], certs: Path, tmp_path: Path
):
    name, group = unique("plant"), unique("fleet")
    terminal.do("onboard", "setup", unique("first"), "--name", name, "--group", group, "--key-type", "ec")
    devices = [unique("dev") for _ in range(3)]
    roster = tmp_path / "line-7.csv"
    roster.write_text("\n".join(["registrationId", *devices, "not an id", devices[0].upper()]))
    issued = terminal.run("onboard", "fleet", "issue", str(roster), "--key-type", "ec", "--workers", "2")
    assert issued.returncode == 1
    assert "3 issued, 0 kept, 2 rejected" in issued.stdout
    rejected = list(csv.DictReader((certs / "fleet/rejected-line-7.csv").open()))
    assert [(one["line"], one["text"]) for one in rejected] == [("5", "not an id"), ("6", devices[0].upper())]
    for device in devices:
        folder = certs / "fleet/devices" / device
        got = register(azure, device, Operational(folder / "device-full-chain.pem", folder / "device.key"), tmp_path)
        assert common_name_of(got.leaf.subject) == device
    inventory = certs / "fleet/inventory-line-7.jsonl"
    assert [json.loads(line)["registrationId"] for line in inventory.read_text().splitlines()] == devices
    assert "would be uploaded" in terminal.do("onboard", "inventory", "upload", str(inventory), "--dry-run")
    uploaded = terminal.do("onboard", "inventory", "upload", str(inventory)).split()[-1]
    assert uploaded.endswith("-inventory-line-7.jsonl")
    with ContainerClient.from_connection_string(azure["storage_connection_string"], "inventory") as container:
        blob = container.get_blob_client(uploaded.removeprefix("inventory/"))
        assert blob.download_blob().readall() == inventory.read_bytes()
        outcome = eventually(lambda: blob.get_blob_properties().metadata, seconds=30)
    assert (outcome["imported"], outcome["rejected"]) == ("3", "0")
    assert "3 devices; the first ends" in terminal.do("onboard", "status")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_fleet_that_is_ended_leaves_no_process_and_goes_on(
    terminal: Terminal, certs: Path, tmp_path: Path, number: signal.Signals, code: int
):
    create_hierarchy(certs, "plant", key_type="ec")
    roster = tmp_path / "ids.csv"
    roster.write_text("\n".join(f"dev-{number}" for number in range(300)))
    process = terminal.in_background("onboard", "fleet", "issue", str(roster), "--workers", "2")
    eventually(lambda: list((certs / "fleet/devices").glob("*/device.pem")), seconds=30)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert (b"run it again to go on" in said) == (number is signal.SIGINT)
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert not list((certs / "fleet").glob("inventory*"))
    keys = {path: path.read_bytes() for path in certs.rglob("device.key")}
    assert 0 < len(keys) < 300
    said = terminal.do("onboard", "fleet", "issue", str(roster), "--key-type", "ec")
    issued, kept = (int(word) for word in said.replace(",", "").split()[:4:2])
    assert (issued + kept, kept > 0) == (300, True)
    assert all(path.read_bytes() == content for path, content in keys.items())


def test_a_file_that_is_no_inventory_is_not_uploaded(terminal: Terminal, tmp_path: Path):
    file = tmp_path / "other.jsonl"
    file.write_text('{"registrationId": "dev-1"}\n')
    assert "is no inventory: line 1" in terminal.refused("onboard", "inventory", "upload", str(file))


# -- symmetric keys and individual enrollments -------------------------------------------------------------------------


def test_a_derived_key_opens_dps_for_its_device(terminal: Terminal, azure: dict[str, Any], certs: Path, tmp_path: Path):
    group, device, out = unique("keys"), unique("dev"), tmp_path / "keys.csv"
    terminal.do("onboard", "group", "create", group, "--symmetric-key")
    said = terminal.do("onboard", "group", "derive-keys", group, device, "--out", str(out))
    (row,) = csv.DictReader(out.open())
    assert out.stat().st_mode & 0o777 == 0o600
    assert row["primaryKey"] not in said
    assert "is replaced only by --force" in terminal.refused(
        "onboard", "group", "derive-keys", group, device, "--out", str(out)
    )
    assert registered_by_key(azure, device, row["primaryKey"]) == "assigned"
    assert not certs.exists()


def test_a_device_that_makes_its_own_key_needs_no_ca_folder(terminal: Terminal, certs: Path, tmp_path: Path):
    home = tmp_path / "device"
    terminal.do("onboard", "device", "request", "dev-1", "--output", str(home), "--key-type", "ec")
    assert {path.name for path in home.iterdir()} == {"device.key", "device.csr"}
    assert not certs.exists()


def test_an_individual_enrollment_by_key_gets_its_key_once(terminal: Terminal, azure: dict[str, Any], tmp_path: Path):
    device, out = unique("dev"), tmp_path / "key.csv"
    create = ("onboard", "enrollment", "create", device, "--symmetric-key")
    terminal.do(*create, "--key-out", str(out), "--device-id", f"{device}-hub")
    (row,) = csv.DictReader(out.open())
    assert row["primaryKey"] not in terminal.do("onboard", "enrollment", "show", device)
    assert registered_by_key(azure, device, row["primaryKey"]) == "assigned"
    assert "--force changes it" in terminal.refused(*create, "--provisioning-status", "disabled")
    terminal.do(*create, "--provisioning-status", "disabled", "--force")
    assert json.loads(terminal.do("onboard", "enrollment", "show", device))["deviceId"] == f"{device}-hub"
    with dps_client(azure) as service:
        keys = service.post(f"/enrollments/{device}/attestationmechanism").json()["symmetricKey"]
    assert keys["primaryKey"] == row["primaryKey"]


def registered_by_key(azure: dict[str, Any], device: str, key: str) -> str:
    """With Microsoft's own client."""
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host="localhost",
        registration_id=device,
        id_scope=azure["dps_id_scope"],
        symmetric_key=key,
        server_verification_cert=Path(azure["ca_bundle"]).read_text(),
    )
    return str(client.register().status)


def test_an_individual_enrollment_by_certificate_lets_in_a_device_of_no_group(
    terminal: Terminal, azure: dict[str, Any], certs: Path, tmp_path: Path
):
    device = unique("dev")
    terminal.do("onboard", "ca", "create", unique("unknown-to-dps"), "--key-type", "ec")
    terminal.do("onboard", "device", "issue", device, "--key-type", "ec")
    assert "it is of" in terminal.refused("onboard", "enrollment", "create", "another")
    create = ("onboard", "enrollment", "create", device, "--reprovision-policy", "never")
    assert terminal.do(*create).startswith("made")
    assert terminal.do(*create).startswith("kept")
    got = register(
        azure, device, Operational(certs / "device/device-full-chain.pem", certs / "device/device.key"), tmp_path
    )
    assert common_name_of(got.leaf.subject) == device
    shown = json.loads(terminal.do("onboard", "enrollment", "show", device))
    assert shown["reprovisionPolicy"] == {"updateHubAssignment": False, "migrateDeviceData": False}


# -- a later generation of the API -------------------------------------------------------------------------------------


def test_a_group_of_the_later_generation_issues_too(
    terminal: Terminal, azure: dict[str, Any], certs: Path, tmp_path: Path
):
    device, group = unique("dev"), unique("gen-3")
    later = ("--api-version", "2026-11-02-preview", "--adr-namespace", azure["adr_namespace"])
    setup = ("onboard", "setup", device, "--group", group, "--key-type", "ec", *later)
    assert "wants the ADR namespace and the CA" in terminal.refused(*setup)
    terminal.do(*setup, "--adr-authority", "default")
    shown = json.loads(terminal.do("onboard", "group", "show", group, *later[:2]))
    assert (shown["certificatePolicyName"], shown.get("credentialPolicyName")) == ("default", None)
    files = Operational(certs / "device/device-full-chain.pem", certs / "device/device.key")
    assert common_name_of(register(azure, device, files, tmp_path).leaf.subject) == device


THREE = {"namespaceName": "local-adr", "certificateAuthorityName": "default", "certificatePolicyName": "default"}


@pytest.mark.parametrize(
    ("version", "members", "why"),
    [
        ("2026-11-02-preview", {"credentialPolicyName": "default"}, "needs the api-version 2025-07-01-preview"),
        ("2025-07-01-preview", THREE, "needs the api-version 2026-11-01"),
        ("2026-11-01", {"certificatePolicyName": "default"}, "go together"),
        ("2026-11-01", {**THREE, "namespaceName": "other"}, "namespace 'other' is not linked"),
        ("2026-11-01", {**THREE, "certificateAuthorityName": "other"}, "no CA 'other'"),
    ],
)
def test_members_of_another_generation_are_refused(
    azure: dict[str, Any], version: str, members: dict[str, str], why: str
):
    three = {
        "namespaceName": azure["adr_namespace"],
        "certificateAuthorityName": "default",
        "certificatePolicyName": "d",
    }
    group = unique("refused")
    document = {"enrollmentGroupId": group, "attestation": {"type": "symmetricKey"}}
    document |= members if len(members) == 1 and "PolicyName" in next(iter(members)) else {**three, **members}
    with dps_client(azure) as service:
        refused = service.put(f"/enrollmentGroups/{group}", json=document, params={"api-version": version})
    assert refused.status_code == 400
    assert why in refused.json()["message"]


# -- refused, and overtaken --------------------------------------------------------------------------------------------


def test_a_proof_for_a_wrong_code_is_refused_by_dps_and_told(terminal: Terminal, certs: Path):
    terminal.do("onboard", "ca", "create", unique("plant"), "--key-type", "ec")
    terminal.do("onboard", "ca", "upload", "root")
    terminal.do("onboard", "ca", "code", "root")
    terminal.do("onboard", "ca", "prove", "root", "--code", "0" * 48)
    said = terminal.refused("onboard", "ca", "verify", "root", "--proof", str(certs / "root/verification.pem"))
    assert "DPS does not take the proof" in said
    assert "The common name of the verification certificate is not the verification code" in said
    assert "verified, SHA-1" in terminal.do("onboard", "ca", "verify", "root")


async def test_whoever_changes_a_ca_meanwhile_is_not_overwritten(certificates: CertificateService, tmp_path: Path):
    name = unique("plant")
    workspace = Workspace(tmp_path)
    create_hierarchy(tmp_path, name, key_type="ec")
    upload = UploadAuthority(certificates, workspace.root, name)
    assert [one.verdict for one in await outcomes(upload)] == [Verdict.MAKE]
    create_hierarchy(tmp_path, name, key_type="ec", force=True)
    forced = UploadAuthority(certificates, workspace.root, name, force=True)
    await forced.look()
    await request_code(certificates, name)
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await forced.apply()
    assert [one.verdict for one in await outcomes(forced)] == [Verdict.REPLACE]
    prove = ProveAuthority(certificates, workspace, workspace.root, name)
    assert [one.verdict for one in await outcomes(prove)] == [Verdict.MAKE]
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await certificates.verify(name, read_certificate(workspace.proof(workspace.root).certificate), "stale")


async def test_whoever_changes_a_group_meanwhile_is_not_overwritten(enrollments: EnrollmentService):
    group, terms = unique("group"), Terms(policy=CredentialPolicy(name="default"))
    by = ByAuthority([unique("ca")])
    await outcomes(EnrollmentStep(enrollments, "enrollmentGroups", group, by, terms))
    disabled = Terms(policy=terms.policy, status="disabled")
    mine = EnrollmentStep(enrollments, "enrollmentGroups", group, by, disabled, force=True)
    await mine.look()
    theirs = Terms(policy=terms.policy, hubs=["localhost"])
    await outcomes(EnrollmentStep(enrollments, "enrollmentGroups", group, by, theirs, force=True))
    with pytest.raises(Conflict):
        await mine.apply()
    document = await enrollments.get("enrollmentGroups", group)
    assert document is not None
    assert (document["provisioningStatus"], document["iotHubs"]) == ("enabled", ["localhost"])


async def test_what_is_not_there_is_none_and_another_resource_group_is_an_error(
    certificates: CertificateService, target: Target
):
    assert await certificates.get("nobody") is None
    with pytest.raises(NotFound):
        await request_code(certificates, "nobody")
    elsewhere = replace(target, resource_group="elsewhere")
    async with certificates_of(elsewhere) as others:
        with pytest.raises(InfrastructureFault, match="resource group could not be found"):
            await others.get("nobody")


def test_whoever_is_not_signed_in_is_told_how(terminal: Terminal, tmp_path: Path):
    create = ("onboard", "group", "create", "g", "--ca-name", "x", "--dps-name", "nowhere-dps")
    said = terminal.refused(*create, HOME=str(tmp_path), PATH="")
    assert said == "error: you are not signed in to Azure here: `az login`, and run this again"


def test_where_no_azure_is_named_and_none_runs_that_is_told(tmp_path: Path):
    alone = Terminal(tmp_path)
    said = alone.refused("onboard", "group", "create", "g", "--ca-name", "x")
    assert "there is no .local/azure.json: run `make up`, or name" in said


def test_a_missing_package_is_named(terminal: Terminal, tmp_path: Path):
    """As on a machine where only the app's own dependencies are."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['azure.mgmt.iothubprovisioningservices.aio'] = None\n"
    )
    terminal.do("onboard", "ca", "create", "plant", "--key-type", "ec")
    said = terminal.refused("onboard", "ca", "upload", "root", PYTHONPATH=str(tmp_path))
    assert "this needs the package azure-mgmt-iothubprovisioningservices" in said
