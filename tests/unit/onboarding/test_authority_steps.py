"""Root and intermediate step by step, with an offline root, with faults between, and with what is there already."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from support.onboarding import outcomes

from fleetcert.certificates import is_encrypted, is_issued_by
from fleetcert.onboarding.authority_steps import (
    AuthorityOptions,
    IntermediateCertificate,
    RootCertificate,
    authority_steps,
    intermediate_request,
)
from fleetcert.onboarding.steps import Verdict
from fleetcert.onboarding.workspace import Workspace, read_certificate
from shared.errors import NotPossible

FAST = AuthorityOptions(key_type="p256")
FORCED = replace(FAST, force=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "certs")


async def create(workspace: Workspace, options: AuthorityOptions = FAST, name: str = "plant") -> list[Verdict]:
    return [outcome.verdict for outcome in await outcomes(*authority_steps(workspace, name, options))]


def contents(workspace: Workspace) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in workspace.directory.rglob("*.*")}


async def test_the_files_are_those_of_the_manual_steps(workspace: Workspace):
    assert await create(workspace) == [Verdict.MAKE] * 3
    assert {path.removeprefix(f"{workspace.directory}/") for path in contents(workspace)} == {
        "root/root-ca.key", "root/root-ca.pem", "ca/intermediate-ca.key", "ca/intermediate-ca.csr",
        "ca/intermediate-ca.pem",
    }  # fmt: skip


async def test_what_is_there_is_kept_and_told_with_its_thumbprints_as_azure_shows_them(workspace: Workspace):
    await create(workspace)
    before = contents(workspace)
    root = read_certificate(workspace.root.certificate)
    kept = await outcomes(*authority_steps(workspace, "plant", FAST))
    assert [outcome.verdict for outcome in kept] == [Verdict.KEEP] * 3
    assert contents(workspace) == before
    for name, algorithm in (("SHA-1", hashes.SHA1()), ("SHA-256", hashes.SHA256())):
        assert f"{name} thumbprint {root.fingerprint(algorithm).hex().upper()}" in kept[0].detail


async def test_a_root_may_stay_where_its_key_is(tmp_path: Path):
    """Request on one machine, signature on another: only the request and the certificates travel."""
    office, vault = Workspace(tmp_path / "office"), Workspace(tmp_path / "vault")
    await outcomes(RootCertificate(vault, "plant", FAST))
    await outcomes(intermediate_request(office, "plant", FAST))
    vault.write(vault.intermediate.request, office.intermediate.request.read_bytes(), 0o644)
    await outcomes(IntermediateCertificate(vault, "plant", FAST))
    for name in ("root", "intermediate"):
        there, here = getattr(vault, name).certificate, getattr(office, name).certificate
        office.write(here, there.read_bytes(), 0o644)
    assert not vault.intermediate.key.exists()
    assert not office.root.key.exists()
    assert await create(office) == [Verdict.KEEP] * 3


async def test_a_key_that_was_left_without_its_certificate_is_used(workspace: Workspace):
    await create(workspace)
    keys = {path: path.read_bytes() for path in workspace.directory.rglob("*.key")}
    for path in (workspace.root.certificate, workspace.intermediate.certificate, workspace.intermediate.request):
        path.unlink()
    assert await create(workspace) == [Verdict.MAKE] * 3
    assert {path: path.read_bytes() for path in keys} == keys


async def test_only_force_replaces_a_key(workspace: Workspace):
    await create(workspace)
    before = contents(workspace)
    assert await create(workspace, FORCED, "other") == [Verdict.REPLACE] * 3
    assert not set(before.values()) & set(contents(workspace).values())
    root, intermediate = (read_certificate(one.certificate) for one in (workspace.root, workspace.intermediate))
    assert is_issued_by(intermediate, root)


async def test_an_intermediate_of_another_root_is_refused(workspace: Workspace):
    await create(workspace)
    await outcomes(RootCertificate(workspace, "plant", FORCED))
    with pytest.raises(NotPossible, match="the plant-root that is here did not issue it; --force replaces it"):
        await create(workspace)


async def test_a_key_of_another_ca_is_refused(workspace: Workspace, tmp_path: Path):
    other = Workspace(tmp_path / "other")
    for one in (workspace, other):
        await create(one)
    workspace.write(workspace.root.key, other.root.key.read_bytes(), 0o600)
    with pytest.raises(NotPossible, match="the key that is here belongs to another certificate"):
        await create(workspace)


async def test_a_ca_that_has_ended_is_refused_and_told(workspace: Workspace):
    await outcomes(RootCertificate(workspace, "plant", replace(FAST, root_life=timedelta(0))))
    with pytest.raises(NotPossible, match=r"it ended on .*; --force replaces it"):
        await create(workspace)


async def test_a_request_for_another_name_is_not_signed(workspace: Workspace):
    await create(workspace)
    workspace.intermediate.certificate.unlink()
    with pytest.raises(NotPossible, match="asks for 'plant-intermediate', not for 'other-intermediate'"):
        await outcomes(IntermediateCertificate(workspace, "other", FAST))


NO_REQUEST = b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("content", [b"", NO_REQUEST])
async def test_a_request_that_is_none_is_told(workspace: Workspace, content: bytes):
    await create(workspace)
    workspace.intermediate.certificate.unlink()
    workspace.write(workspace.intermediate.request, content, 0o644)
    with pytest.raises(NotPossible, match="is no certificate signing request"):
        await create(workspace)


async def test_encrypted_keys_have_a_passphrase_each(workspace: Workspace):
    options = replace(FAST, root_passphrase=b"one", intermediate_passphrase=b"two")
    await create(workspace, options)
    assert all(is_encrypted(path.read_bytes()) for path in workspace.directory.rglob("*.key"))
    assert await create(workspace, options) == [Verdict.KEEP] * 3
    with pytest.raises(NotPossible, match=r"root-ca\.key is encrypted"):
        await create(workspace)
    with pytest.raises(NotPossible, match=r"intermediate-ca\.key cannot be opened"):
        await create(workspace, replace(options, intermediate_passphrase=b"one"))
    assert b"one" not in repr(options).encode()


async def test_an_intermediate_never_outlives_its_root(workspace: Workspace):
    await create(workspace, replace(FAST, root_life=timedelta(days=10)))
    root, intermediate = (read_certificate(one.certificate) for one in (workspace.root, workspace.intermediate))
    assert intermediate.not_valid_after_utc == root.not_valid_after_utc
