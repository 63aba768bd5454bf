"""The inventory file, and the app's own reader as its judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fleetcert.onboarding.inventory import InventoryLine, found_in, read_inventory, write_inventory
from fleetcert.onboarding.issuing import certify_device, make_root
from fleetcert.onboarding.keys import authority_key, device_key
from fleetcert.onboarding.workspace import Workspace
from shared.contracts import parse_instant
from shared.domain.leaves import parse_leaf
from shared.errors import NotPossible

ROOT = make_root("plant", authority_key("p256"))


def leaf(name: str) -> x509.Certificate:
    return certify_device(ROOT, name, device_key("p256").public_key())


def line(name: str) -> InventoryLine:
    return InventoryLine.of(name, leaf(name))


def test_a_line_says_what_is_published_and_the_app_takes_it():
    certificate = leaf("dev-1")
    raw = InventoryLine.of("dev-1", certificate).encode()
    members = json.loads(raw)
    assert list(members) == [
        "registrationId", "thumbprint", "sha1Thumbprint", "serialNumber", "notBefore", "notAfter", "issuer", "pem",
    ]  # fmt: skip
    assert raw.endswith(b"}\n")
    assert members["thumbprint"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert members["sha1Thumbprint"] == certificate.fingerprint(hashes.SHA1()).hex()
    assert int(members["serialNumber"], 16) == certificate.serial_number
    assert members["notAfter"].endswith("Z")
    assert parse_instant(members["notBefore"]) == certificate.not_valid_before_utc
    assert members["issuer"] == "CN=plant-root"
    taken = parse_leaf(raw)
    assert (taken.registration_id, taken.valid_until) == ("dev-1", certificate.not_valid_after_utc)
    assert x509.load_pem_x509_certificate(taken.pem.encode()) == certificate


def test_a_file_is_whole_or_not_there(tmp_path: Path):
    path = tmp_path / "inventory.jsonl"
    write_inventory(path, [line("dev-1")])

    def breaking():
        yield line("dev-2")
        raise RuntimeError("power loss")

    with pytest.raises(RuntimeError):
        write_inventory(path, breaking())
    assert [one.registration_id for one in read_inventory(path)] == ["dev-1"]


@pytest.mark.parametrize("bad", [b"", b"hello", b"{}", b'{"registrationId": 1}'])
def test_a_line_that_is_none_is_named(tmp_path: Path, bad: bytes):
    path = tmp_path / "inventory.jsonl"
    path.write_bytes(line("dev-1").encode() + bad + b"\n")
    with pytest.raises(NotPossible, match="is no inventory: line 2"):
        list(read_inventory(path))


def test_devices_that_other_tools_issued_are_found(tmp_path: Path):
    workspace = Workspace(tmp_path)
    for name in ("b", "a"):
        workspace.write_certificates(tmp_path / "devices" / name / "device.pem", leaf(name))
    workspace.write(tmp_path / "devices" / "b" / "device.key", b"not to be read", 0o600)
    assert [one.registration_id for one in found_in(tmp_path)] == ["a", "b"]
