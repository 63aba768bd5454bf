"""Promise: the whole page "Understanding X.509 and CSR Workflows" can be followed with `fleetcert onboard`.

The tests are the page's steps, in the page's order, each by its own command; then the page's own OpenSSL commands take
the place of ours, and `setup` that of them all.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509, ProvisioningDeviceClient
from support.command_line import Terminal
from support.hub_clients import Operational, register, sdk_client, state_of_dps
from support.local_azure import Up
from support.openssl import openssl

from fleetcert.certificates import common_name_of


@dataclass
class Page:
    """One reader of the page: a terminal with its variables set, the folder of certificates, and the device."""

    terminal: Terminal
    certs: Path
    device: str
    group: str

    def onboard(self, *command: str, **variables: str) -> str:
        return self.terminal.do("onboard", *command, **variables)

    def refused(self, *command: str) -> str:
        return self.terminal.refused("onboard", *command)

    @property
    def credential(self) -> Operational:
        """Step 8: what is copied to the device."""
        return Operational(self.certs / "device/device-full-chain.pem", self.certs / "device/device.key")


def open_page(running: Up, folder: Path) -> Page:
    """Step 1: variables. (The folders are made by the commands that need them.)"""
    device, certs = f"my-device-{uuid.uuid4().hex[:8]}", folder / "certs"
    variables = {"FLEETCERT_CERTS": str(certs), "certDir": str(certs), "registrationId": device}
    return Page(Terminal(running.folder.parent, **variables), certs, device, f"{device}-group")


@pytest.fixture(scope="module")
def page(running: Up, azure: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The reader who follows the page with our commands."""
    return open_page(running, tmp_path_factory.mktemp("page"))


@pytest.fixture
def other(running: Up, azure: dict[str, Any], tmp_path: Path) -> Page:
    """Another reader, of a page of their own."""
    return open_page(running, tmp_path)


def onboards(azure: dict[str, Any], page: Page, folder: Path) -> None:
    """What happens next: the device registers, gets an operational certificate for its CSR, and connects with it."""
    assert Microsoft(azure, page).register().status == "assigned"
    operational = register(azure, page.device, page.credential, folder)
    assert common_name_of(operational.leaf.subject) == page.device
    client = sdk_client(azure, page.device, operational)
    client.connect()
    assert client.connected
    client.shutdown()


class Microsoft:
    """The unmodified provisioning client, with the files of step 8."""

    def __init__(self, azure: dict[str, Any], page: Page) -> None:
        files = page.credential
        self._client = ProvisioningDeviceClient.create_from_x509_certificate(
            provisioning_host="localhost",
            registration_id=page.device,
            id_scope=azure["dps_id_scope"],
            x509=X509(cert_file=str(files.certificate), key_file=str(files.key)),
            server_verification_cert=Path(azure["ca_bundle"]).read_text(),
        )

    def register(self) -> Any:
        return self._client.register()


# -- the page, step by step: these run in order, each on what those before have left -----------------------------------


def test_step_2_root_and_intermediate_are_made_one_command_each(page: Page):
    assert "made" in page.onboard("ca", "create", page.device, "--level", "root")
    page.onboard("ca", "request", page.device)
    assert not (page.certs / "ca/intermediate-ca.pem").exists()
    page.onboard("ca", "sign", page.device)
    openssl("verify", "-CAfile", page.certs / "root/root-ca.pem", page.certs / "ca/intermediate-ca.pem")


def test_step_3_thumbprints_are_shown(page: Page):
    shown = page.onboard("ca", "show")
    for name in ("root/root-ca.pem", "ca/intermediate-ca.pem"):
        fingerprint = openssl("x509", "-in", page.certs / name, "-noout", "-fingerprint", "-sha1")
        assert fingerprint.partition("=")[2].strip().replace(":", "") in shown


def test_step_4_the_root_is_uploaded_and_verified_one_command_each(page: Page):
    page.onboard("ca", "upload", "root")
    code = page.onboard("ca", "code", "root").strip()
    page.onboard("ca", "prove", "root", "--code", code)
    proof = page.certs / "root/verification.pem"
    assert "verified, SHA-1" in page.onboard("ca", "verify", "root", "--proof", str(proof))


def test_step_5_the_intermediate_is_uploaded_and_verified(page: Page):
    page.onboard("ca", "upload", "intermediate")
    assert "verified, SHA-1" in page.onboard("ca", "verify", "intermediate")
    assert page.onboard("ca", "verify", "intermediate").startswith("kept")


def test_step_6_the_devices_certificate_and_chains_are_made(page: Page):
    page.onboard("device", "request", page.device)
    page.onboard("device", "issue", page.device)
    files = {path.name for path in (page.certs / "device").iterdir()}
    assert files == {"device.key", "device.csr", "device.pem", "chain.pem", "device-full-chain.pem"}


def test_step_7_the_enrollment_group_is_created(page: Page):
    made = page.onboard("group", "create", page.group)
    assert f"CA {page.device}-intermediate; issues certificates by policy default; enabled" in made
    document = json.loads(page.onboard("group", "show", page.group))
    assert document["credentialPolicyName"] == "default"
    assert document["attestation"]["x509"]["caReferences"]["primary"] == f"{page.device}-intermediate"


def test_step_8_the_device_onboards_with_what_was_copied_to_it(page: Page, azure: dict[str, Any], tmp_path: Path):
    onboards(azure, page, tmp_path)


def test_at_the_end_the_status_misses_nothing(page: Page):
    items = json.loads(page.onboard("status", "--output", "json", "--group", page.group, "--check"))
    assert {item["standing"] for item in items} == {"good"}
    assert [item["name"] for item in items if item["where"] == "DPS"] == [
        "root CA",
        "intermediate CA",
        f"group {page.group}",
    ]


def test_every_step_may_be_run_again_and_changes_nothing(page: Page):
    before = {path: path.read_bytes() for path in page.certs.rglob("*.*")}
    group = page.onboard("group", "show", page.group)
    for command in (
        ("ca", "create", page.device),
        ("ca", "upload", "root"),
        ("ca", "verify", "root"),
        ("ca", "upload", "intermediate"),
        ("device", "issue", page.device),
        ("group", "create", page.group),
        ("setup", page.device, "--group", page.group),
    ):
        said = page.onboard(*command)
        assert {line.split()[0] for line in said.splitlines() if line[:1].strip()} <= {"kept", "Copy"}, said
    assert {path: path.read_bytes() for path in page.certs.rglob("*.*")} == before
    assert page.onboard("group", "show", page.group) == group


# -- the page's own OpenSSL commands in the place of ours --------------------------------------------------------------


def test_a_chain_of_the_pages_own_openssl_commands_works_from_the_upload_on(
    other: Page, azure: dict[str, Any], tmp_path: Path
):
    for step in ("folders", "authorities"):
        other.terminal.by_hand(step)
    other.onboard("ca", "upload", "root")
    other.terminal.by_hand("root_proof", rootVerCode=other.onboard("ca", "code", "root").strip())
    other.onboard("ca", "verify", "root", "--proof", str(other.certs / "root/verification.pem"))
    other.onboard("ca", "upload", "intermediate")
    other.terminal.by_hand("ca_proof", caVerCode=other.onboard("ca", "code", "intermediate").strip())
    other.onboard("ca", "verify", "intermediate", "--proof", str(other.certs / "ca/verification.pem"))
    other.terminal.by_hand("device")
    other.onboard("group", "create", other.group)
    onboards(azure, other, tmp_path)
    kept = other.onboard("setup", other.device, "--group", other.group)
    assert "made" not in kept
    built = tmp_path / "inventory.jsonl"
    other.onboard("inventory", "build", str(other.certs), "--out", str(built))
    assert json.loads(built.read_text())["registrationId"] == other.device


def test_our_commands_go_on_where_openssl_has_ended(other: Page, azure: dict[str, Any], tmp_path: Path):
    for step in ("folders", "authorities"):
        other.terminal.by_hand(step)
    said = other.onboard("setup", other.device, "--group", other.group)
    assert [line.split()[0] for line in said.splitlines() if "CA: " in line][:2] == ["kept", "kept"]
    onboards(azure, other, tmp_path)


# -- all in one --------------------------------------------------------------------------------------------------------


def test_setup_does_it_all_and_a_rehearsal_before_it_nothing(other: Page, azure: dict[str, Any], tmp_path: Path):
    setup = ("setup", other.device, "--group", other.group, "--key-type", "ec")
    planned = other.onboard(*setup, "--dry-run")
    assert planned.count("would be made") == 10
    assert not other.certs.exists()
    assert "is not known" in other.refused("group", "show", other.group)
    assert other.onboard(*setup).count("made   ") == 10
    onboards(azure, other, tmp_path)


def test_a_rehearsal_of_each_command_changes_nothing_at_dps(other: Page, azure: dict[str, Any]):
    other.onboard("ca", "create", other.device, "--key-type", "ec")
    other.onboard("device", "issue", other.device, "--key-type", "ec")
    before = state_of_dps(azure)
    for command in (
        ("ca", "upload", "root"),
        ("ca", "verify", "root"),
        ("group", "create", other.group),
        ("group", "create", f"{other.group}-keys", "--symmetric-key"),
        ("enrollment", "create", other.device),
        ("setup", other.device, "--group", other.group),
    ):
        assert "Nothing was changed." in other.onboard(*command, "--dry-run")
    assert state_of_dps(azure) == before
