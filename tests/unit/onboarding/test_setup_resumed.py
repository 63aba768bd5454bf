"""Setup at every point at which it can be cut short, and what a rehearsal leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from support.onboarding import PLAN, Changes, FakeCertificates, FakeEnrollments, PowerLoss, outcomes

from fleetcert.onboarding.setup import Plan, setup_steps
from fleetcert.onboarding.steps import Outcome, Verdict
from fleetcert.onboarding.workspace import Workspace
from shared.errors import NotPossible


class World:
    """The disk and DPS, which outlive a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = FakeCertificates()
        self.enrollments = FakeEnrollments()

    async def set_up(self, changes: Changes, *, plan: Plan = PLAN, dry_run: bool = False) -> list[Outcome]:
        self.certificates.changes = self.enrollments.changes = changes
        workspace = Workspace(self.folder, changes.write)
        steps = setup_steps(workspace, self.certificates, self.enrollments, plan)
        return await outcomes(*steps, dry_run=dry_run)

    def keys(self) -> dict[Path, bytes]:
        """Those that matter: the key of a proof is of no use after it."""
        return {path: path.read_bytes() for path in self.folder.rglob("*.key") if path.stem != "verification"}

    def state(self) -> tuple[object, ...]:
        files = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        return files, self.certificates.authorities.all(), dict(self.enrollments.documents)

    def check(self) -> None:
        """What the page promises at its end."""
        full_chain = self.folder / "device" / "device-full-chain.pem"
        leaf, intermediate, root = x509.load_pem_x509_certificates(full_chain.read_bytes())
        assert PolicyBuilder().store(Store([root])).build_client_verifier().verify(leaf, [intermediate])
        verified = self.certificates.authorities.verified
        assert (verified("plant-root"), verified("plant-intermediate")) == (root, intermediate)
        group = self.enrollments.documents["enrollmentGroups", "fleet"]
        assert group["attestation"]["x509"]["caReferences"] == {"primary": "plant-intermediate"}
        assert (group["credentialPolicyName"], group["provisioningStatus"]) == ("default", "enabled")


async def all_changes(folder: Path) -> list[str]:
    changes = Changes()
    await World(folder).set_up(changes)
    return changes.names


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_setup_that_was_cut_short_at_any_change_is_completed_by_the_next(tmp_path: Path, after: bool):
    names = await all_changes(tmp_path / "whole")
    assert len(names) == 23, names
    for position, name in enumerate(names):
        world = World(tmp_path / str(position))
        with pytest.raises(PowerLoss):
            await world.set_up(Changes(fault=position, after=after))
        keys = world.keys()
        await world.set_up(Changes())
        world.check()
        assert keys.items() <= world.keys().items(), f"a key was replaced after {name}"


async def test_a_setup_that_is_done_changes_nothing_when_it_is_run_again(tmp_path: Path):
    world, again = World(tmp_path), Changes()
    await world.set_up(Changes())
    before = world.state()
    done = await world.set_up(again)
    assert {outcome.verdict for outcome in done} == {Verdict.KEEP}
    assert again.names == []
    assert world.state() == before


async def test_a_rehearsal_changes_nothing_at_whatever_point_it_is_held(tmp_path: Path):
    names = await all_changes(tmp_path / "whole")
    for position in range(len(names)):
        world, rehearsal = World(tmp_path / str(position)), Changes()
        with pytest.raises(PowerLoss):
            await world.set_up(Changes(fault=position))
        before = world.state()
        planned = await world.set_up(rehearsal, dry_run=True)
        assert (rehearsal.names, world.state()) == ([], before)
        assert all(outcome.planned for outcome in planned)
        assert any(outcome.verdict is Verdict.MAKE for outcome in planned)


async def test_a_rehearsal_makes_not_even_a_folder(tmp_path: Path):
    world = World(tmp_path / "certs")
    planned = await world.set_up(Changes(), dry_run=True)
    assert [outcome.verdict for outcome in planned] == [Verdict.MAKE] * 10
    assert world.state()[0] == {}
    assert not (tmp_path / "certs").exists()


async def test_a_setup_under_another_name_replaces_nothing(tmp_path: Path):
    world, other = World(tmp_path), Changes()
    await world.set_up(Changes())
    before = world.state()
    plan = Plan(name="other", registration_id="other", enrollment_group="g", terms=PLAN.terms)
    with pytest.raises(NotPossible, match="it is of plant-root, not of other-root"):
        await world.set_up(other, plan=plan)
    assert (other.names, world.state()) == ([], before)


async def test_a_rehearsal_goes_on_after_what_would_be_refused(tmp_path: Path):
    world = World(tmp_path)
    await world.set_up(Changes())
    plan = Plan(name="other", registration_id="dev-1", enrollment_group="fleet", terms=PLAN.terms)
    verdicts = {outcome.title: outcome.verdict for outcome in await world.set_up(Changes(), plan=plan, dry_run=True)}
    assert verdicts["root CA"] is Verdict.REFUSE
    assert verdicts["device certificate"] is Verdict.KEEP
    assert verdicts["enrollment group fleet"] is Verdict.REFUSE
