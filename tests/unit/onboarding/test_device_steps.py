"""A device's credential: made, kept, completed, issued again, and refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from support.onboarding import outcomes

from fleetcert.certificates import is_encrypted
from fleetcert.device.credential import Credential
from fleetcert.onboarding.authority_steps import AuthorityOptions, authority_steps
from fleetcert.onboarding.bootstrap import DeviceOptions, device_request, device_steps
from fleetcert.onboarding.keys import read_key
from fleetcert.onboarding.steps import Verdict
from fleetcert.onboarding.workspace import DeviceFiles, Workspace, read_certificate
from shared.errors import NotPossible

FAST = DeviceOptions(key_type="p256")
FORCED = replace(FAST, force=True)
ENDED = replace(FAST, life=timedelta(0))


@pytest.fixture
async def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "certs")
    await outcomes(*authority_steps(workspace, "plant", AuthorityOptions(key_type="p256")))
    return workspace


async def issue(workspace: Workspace, options: DeviceOptions = FAST, name: str = "dev-1") -> list[Verdict]:
    return [one.verdict for one in await outcomes(*device_steps(workspace, workspace.device, name, options))]


def contents(files: DeviceFiles) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files.certificate.parent.iterdir()}


async def test_the_files_and_the_order_of_the_chains_are_those_of_the_manual_steps(workspace: Workspace):
    assert await issue(workspace) == [Verdict.MAKE] * 2
    files = contents(workspace.device)
    assert set(files) == {"device.key", "device.csr", "device.pem", "chain.pem", "device-full-chain.pem"}
    intermediate, root = (one.certificate.read_bytes() for one in (workspace.intermediate, workspace.root))
    assert files["chain.pem"] == intermediate + root
    assert files["device-full-chain.pem"] == files["device.pem"] + intermediate + root
    assert Credential.from_pem(files["device.key"], files["device-full-chain.pem"])


async def test_what_is_there_is_kept(workspace: Workspace):
    await issue(workspace)
    before = contents(workspace.device)
    assert await issue(workspace) == [Verdict.KEEP] * 2
    assert contents(workspace.device) == before


async def test_chains_that_are_missing_are_completed_without_a_new_certificate(workspace: Workspace):
    await issue(workspace)
    before = contents(workspace.device)
    workspace.device.full_chain.unlink()
    assert await issue(workspace) == [Verdict.KEEP, Verdict.MAKE]
    assert contents(workspace.device) == before


async def test_a_certificate_that_has_ended_is_issued_again_for_the_same_key(workspace: Workspace):
    await issue(workspace, ENDED)
    key = workspace.device.key.read_bytes()
    assert await issue(workspace) == [Verdict.KEEP, Verdict.REPLACE]
    assert workspace.device.key.read_bytes() == key
    assert await issue(workspace) == [Verdict.KEEP] * 2


async def test_only_force_replaces_a_key(workspace: Workspace):
    await issue(workspace)
    before = contents(workspace.device)
    with pytest.raises(NotPossible, match="it is of dev-1, not of dev-2; --force replaces it"):
        await issue(workspace, name="dev-2")
    assert contents(workspace.device) == before
    assert await issue(workspace, FORCED, "dev-2") == [Verdict.REPLACE] * 2
    assert workspace.device.key.read_bytes() != before["device.key"]
    assert Credential.from_pem(workspace.device.key.read_bytes(), workspace.device.full_chain.read_bytes())


async def test_a_certificate_of_another_ca_is_refused(workspace: Workspace):
    await issue(workspace)
    forced = AuthorityOptions(key_type="p256", force=True)
    await outcomes(*authority_steps(workspace, "plant", forced))
    with pytest.raises(NotPossible, match="the plant-intermediate that is here did not issue it"):
        await issue(workspace)


async def test_a_devices_key_may_stay_on_the_device(workspace: Workspace, tmp_path: Path):
    home = DeviceFiles.in_folder(tmp_path / "device")
    await outcomes(device_request(Workspace(tmp_path), home, "dev-1", FAST))
    (step,) = device_steps(workspace, workspace.device, "dev-1", FAST, home.request)
    assert [one.verdict for one in await outcomes(step)] == [Verdict.MAKE]
    assert not workspace.device.key.exists()
    assert read_certificate(workspace.device.certificate).public_key() == read_key(home.key).public_key()
    (again,) = device_steps(workspace, workspace.device, "dev-1", FAST, home.request)
    assert [one.verdict for one in await outcomes(again)] == [Verdict.KEEP]


async def test_a_request_of_another_device_is_not_signed(workspace: Workspace, tmp_path: Path):
    home = DeviceFiles.in_folder(tmp_path / "device")
    await outcomes(device_request(Workspace(tmp_path), home, "dev-2", FAST))
    with pytest.raises(NotPossible, match="asks for 'dev-2', not for 'dev-1'"):
        await outcomes(*device_steps(workspace, workspace.device, "dev-1", FAST, home.request))


async def test_a_request_that_was_altered_is_not_signed(workspace: Workspace, tmp_path: Path):
    home = DeviceFiles.in_folder(tmp_path / "device")
    await outcomes(device_request(Workspace(tmp_path), home, "dev-1", FAST))
    request = x509.load_pem_x509_csr(home.request.read_bytes())
    altered = bytearray(request.public_bytes(Encoding.DER))
    altered[-1] ^= 1
    pem = x509.load_der_x509_csr(bytes(altered)).public_bytes(Encoding.PEM)
    home.request.write_bytes(pem)
    with pytest.raises(NotPossible, match="is not signed with the key that it holds"):
        await outcomes(*device_steps(workspace, workspace.device, "dev-1", FAST, home.request))


async def test_an_encrypted_key_is_opened_to_be_kept(workspace: Workspace):
    options = replace(FAST, key_passphrase=b"secret")
    await issue(workspace, options)
    assert is_encrypted(workspace.device.key.read_bytes())
    assert await issue(workspace, options) == [Verdict.KEEP] * 2
    with pytest.raises(NotPossible, match=r"device\.key is encrypted"):
        await issue(workspace)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "../escape", "dev."])
def test_an_odd_id_makes_no_step(tmp_path: Path, name: str):
    with pytest.raises(NotPossible, match="the registration id"):
        device_steps(Workspace(tmp_path), Workspace(tmp_path).device, name, FAST)


async def test_without_a_ca_it_is_said_what_is_missing(tmp_path: Path):
    with pytest.raises(NotPossible, match=r"intermediate-ca\.pem cannot be read"):
        await issue(Workspace(tmp_path))
