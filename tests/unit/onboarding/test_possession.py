"""CAs at DPS: uploaded once, proved by the key that is ours, and never changed under somebody else's hands."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.onboarding import FakeCertificates, outcomes

from fleetcert.certificates import common_name_of, is_issued_by
from fleetcert.onboarding.authority import load_authority
from fleetcert.onboarding.authority_steps import AuthorityOptions, authority_steps
from fleetcert.onboarding.possession import ProveAuthority, ShowProof, UploadAuthority, request_code, write_proof
from fleetcert.onboarding.steps import Verdict
from fleetcert.onboarding.workspace import Workspace, read_certificate
from shared.errors import Conflict, NotFound, NotPossible

NAME = "plant-intermediate"


@pytest.fixture
async def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "certs")
    await outcomes(*authority_steps(workspace, "plant", AuthorityOptions(key_type="p256")))
    return workspace


@pytest.fixture
def service() -> FakeCertificates:
    return FakeCertificates()


async def upload(service: FakeCertificates, workspace: Workspace, *, force: bool = False) -> Verdict:
    step = UploadAuthority(service, workspace.intermediate, NAME, force=force)
    return (await outcomes(step))[0].verdict


async def prove(service: FakeCertificates, workspace: Workspace) -> Verdict:
    step = ProveAuthority(service, workspace, workspace.intermediate, NAME)
    return (await outcomes(step))[0].verdict


async def replace_hierarchy(workspace: Workspace) -> None:
    await outcomes(*authority_steps(workspace, "plant", AuthorityOptions(key_type="p256", force=True)))


async def test_a_ca_is_uploaded_and_proved_once(service: FakeCertificates, workspace: Workspace):
    assert [await upload(service, workspace) for _ in range(2)] == [Verdict.MAKE, Verdict.KEEP]
    assert [await prove(service, workspace) for _ in range(2)] == [Verdict.MAKE, Verdict.KEEP]
    assert service.authorities.verified(NAME) == read_certificate(workspace.intermediate.certificate)
    assert service.changes.names == [f"upload {NAME}", f"code {NAME}", f"verify {NAME}"]


async def test_the_proof_is_a_certificate_of_the_code_that_the_ca_has_signed(
    service: FakeCertificates, workspace: Workspace
):
    await upload(service, workspace)
    await prove(service, workspace)
    proof = read_certificate(workspace.proof(workspace.intermediate).certificate)
    assert common_name_of(proof.subject) == service.codes[-1]
    assert is_issued_by(proof, read_certificate(workspace.intermediate.certificate))
    assert workspace.proof(workspace.intermediate).key.stat().st_mode & 0o777 == 0o600


async def test_another_certificate_of_that_name_is_replaced_by_force_alone(
    service: FakeCertificates, workspace: Workspace
):
    await upload(service, workspace)
    await prove(service, workspace)
    await replace_hierarchy(workspace)
    with pytest.raises(NotPossible, match="another certificate has this name there"):
        await upload(service, workspace)
    with pytest.raises(NotPossible, match="DPS holds another certificate of this name"):
        await prove(service, workspace)
    assert await upload(service, workspace, force=True) is Verdict.REPLACE
    assert service.authorities.verified(NAME) is None
    assert await prove(service, workspace) is Verdict.MAKE


async def test_an_upload_that_somebody_else_overtakes_is_a_conflict(service: FakeCertificates, workspace: Workspace):
    await upload(service, workspace)
    await replace_hierarchy(workspace)
    theirs = service.authorities.get(NAME)
    service.meanwhile = lambda: service.authorities.generate_verification_code(NAME, theirs.etag)
    with pytest.raises(Conflict):
        await upload(service, workspace, force=True)
    assert service.authorities.get(NAME).certificate == theirs.certificate


async def test_a_code_that_somebody_else_asks_for_meanwhile_is_a_conflict_and_the_next_run_succeeds(
    service: FakeCertificates, workspace: Workspace
):
    await upload(service, workspace)
    step = ProveAuthority(service, workspace, workspace.intermediate, NAME)
    await step.look()
    service.meanwhile = lambda: service.authorities.generate_verification_code(NAME, "*")
    with pytest.raises(Conflict):
        await step.apply()
    assert await prove(service, workspace) is Verdict.MAKE


async def test_a_proof_for_the_code_of_before_is_refused(service: FakeCertificates, workspace: Workspace):
    await upload(service, workspace)
    files = workspace.intermediate
    old = (await request_code(service, NAME)).code
    authority = load_authority(files.certificate, files.key)
    await write_proof(workspace, files, authority, old)
    await request_code(service, NAME)
    proof = workspace.proof(files).certificate
    with pytest.raises(NotPossible, match=r"DPS does not take the proof \(is it for the last code"):
        await outcomes(ShowProof(service, files, NAME, proof))
    await write_proof(workspace, files, authority, service.codes[-1])
    assert (await outcomes(ShowProof(service, files, NAME, proof)))[0].verdict is Verdict.MAKE
    assert service.authorities.verified(NAME) is not None


async def test_a_proof_by_another_ca_is_not_even_sent(service: FakeCertificates, workspace: Workspace):
    await upload(service, workspace)
    root = workspace.root
    code = (await request_code(service, NAME)).code
    await write_proof(workspace, root, load_authority(root.certificate, root.key), code)
    with pytest.raises(NotPossible, match="was not issued by plant-intermediate"):
        await outcomes(ShowProof(service, workspace.intermediate, NAME, workspace.proof(root).certificate))
    assert service.changes.names[-1] == f"code {NAME}"


async def test_a_key_of_another_ca_spends_no_code(service: FakeCertificates, workspace: Workspace):
    await upload(service, workspace)
    workspace.write(workspace.intermediate.key, workspace.root.key.read_bytes(), 0o600)
    with pytest.raises(NotPossible, match="is the key of another certificate"):
        await prove(service, workspace)
    assert service.codes == []


@pytest.mark.parametrize("code", ["", "a b", "x" * 65, "../up", "é" * 48])
async def test_what_is_no_code_is_not_signed(workspace: Workspace, code: str):
    root = workspace.root
    with pytest.raises(NotPossible, match="at most 64 letters and digits"):
        await write_proof(workspace, root, load_authority(root.certificate, root.key), code)
    assert not workspace.proof(root).key.exists()


async def test_what_was_not_uploaded_cannot_be_proved(service: FakeCertificates, workspace: Workspace):
    with pytest.raises(NotFound, match=f"CA certificate at DPS '{NAME}' is not known"):
        await prove(service, workspace)


async def test_a_ca_that_is_not_there_cannot_be_uploaded(service: FakeCertificates, tmp_path: Path):
    with pytest.raises(NotPossible, match="make it with `fleetcert onboard ca create`"):
        await upload(service, Workspace(tmp_path))
