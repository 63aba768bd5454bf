"""What there is, what ends, what is missing: here and at DPS."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs
from support.onboarding import PLAN, FakeCertificates, FakeEnrollments, outcomes

from fleetcert.onboarding.authority_steps import authority_steps
from fleetcert.onboarding.bootstrap import DeviceOptions
from fleetcert.onboarding.inventory import InventoryLine, write_inventory
from fleetcert.onboarding.keys import read_key
from fleetcert.onboarding.setup import Plan, setup_steps
from fleetcert.onboarding.status import Item, Standing, Survey
from fleetcert.onboarding.workspace import Workspace, read_certificate


class Site:
    """A workspace and its DPS."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(folder)
        self.certificates, self.enrollments = FakeCertificates(), FakeEnrollments()
        self.survey = Survey(self.workspace)

    async def set_up(self, plan: Plan = PLAN) -> None:
        await outcomes(*setup_steps(self.workspace, self.certificates, self.enrollments, plan))

    def local(self) -> dict[str, Item]:
        return {item.name: item for item in self.survey.local()}

    async def remote(self, group: str | None = None) -> dict[str, Item]:
        items = await self.survey.at_dps(self.certificates, self.enrollments, group)
        return {item.name: item for item in items}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def standings(items: dict[str, Item]) -> dict[str, Standing]:
    return {name: item.standing for name, item in items.items()}


async def test_where_there_is_nothing_everything_is_missing(site: Site):
    assert set(standings(site.local()).values()) == {Standing.MISSING}
    assert standings(await site.remote("fleet")) == dict.fromkeys(
        ("root CA", "intermediate CA", "group fleet"), Standing.MISSING
    )


async def test_after_setup_everything_is_good_and_its_end_is_told(site: Site):
    await site.set_up()
    assert set(standings(site.local()).values()) == {Standing.GOOD}
    remote = await site.remote()
    assert standings(remote) == dict.fromkeys(("root CA", "intermediate CA", "group fleet"), Standing.GOOD)
    leaf = read_certificate(site.workspace.device.certificate)
    assert site.local()["device"].ends == leaf.not_valid_after_utc
    assert remote["group fleet"].detail == "enabled; policy default"


@pytest.mark.parametrize(("days", "standing"), [(0, Standing.ENDED), (30, Standing.ENDING), (200, Standing.GOOD)])
async def test_an_end_that_is_near_is_told(site: Site, days: int, standing: Standing):
    await site.set_up(replace(PLAN, device=DeviceOptions(key_type="p256", life=timedelta(days=days))))
    assert site.local()["device"].standing is standing


async def test_a_fleet_is_as_good_as_its_first_end(site: Site):
    await site.set_up()
    line = InventoryLine.of("dev-1", read_certificate(site.workspace.device.certificate))
    ended = structs.replace(line, registration_id="dev-2", not_after="2020-01-01T00:00:00Z")
    write_inventory(site.workspace.fleet / "inventory-ids.jsonl", [line, ended])
    fleet = site.local()["fleet"]
    assert (fleet.standing, fleet.detail) == (Standing.ENDED, "2 devices; the first ends")


async def test_keys_are_looked_at_from_outside(site: Site):
    await site.set_up()
    site.workspace.root.key.unlink()
    site.workspace.intermediate.key.chmod(0o640)
    site.workspace.write_key(site.workspace.device.key, read_key(site.workspace.device.key), b"secret")
    local = site.local()
    assert (local["root CA, key"].standing, local["root CA, key"].detail) == (Standing.GOOD, "kept elsewhere")
    assert local["intermediate CA, key"].standing is Standing.WRONG
    assert local["device, key"].detail == "encrypted"


async def test_what_cannot_be_read_is_told_and_hides_nothing_else(site: Site):
    await site.set_up()
    site.workspace.root.certificate.write_text("no certificate")
    site.workspace.intermediate.key.write_text("no key")
    site.workspace.write(site.workspace.fleet / "inventory-ids.jsonl", b"no inventory", 0o644)
    local, remote = site.local(), await site.remote("fleet")
    assert (local["root CA"].standing, local["root CA"].detail) == (Standing.WRONG, "holds no certificate in PEM")
    assert "holds no private key" in local["intermediate CA, key"].detail
    assert "is no inventory: line 1" in local["fleet"].detail
    assert (local["device"].standing, remote["group fleet"].standing) == (Standing.GOOD, Standing.GOOD)


async def test_a_key_of_another_certificate_is_told(site: Site):
    await site.set_up()
    site.workspace.write(site.workspace.device.key, site.workspace.root.key.read_bytes(), 0o600)
    assert site.local()["device, key"].detail == "belongs to another certificate"


async def test_what_does_not_belong_together_is_told(site: Site):
    await site.set_up()
    forced = replace(PLAN.authorities, force=True)
    await outcomes(*authority_steps(site.workspace, "plant", forced))
    assert site.local()["device"].standing is Standing.WRONG
    remote = await site.remote("fleet")
    assert remote["intermediate CA"].detail == "not uploaded"
    assert remote["group fleet"].standing is Standing.GOOD


async def test_a_ca_that_is_not_verified_and_a_group_that_is_disabled_are_told(site: Site):
    await site.set_up()
    name = "plant-intermediate"
    certificate = site.certificates.authorities.get(name)
    site.certificates.authorities.put(name, certificate.certificate, if_match=certificate.etag)
    key = ("enrollmentGroups", "fleet")
    site.enrollments.store(key, {**site.enrollments.documents[key], "provisioningStatus": "disabled"})
    remote = await site.remote()
    assert remote["intermediate CA"].detail == "plant-intermediate: not verified"
    assert remote["intermediate CA"].standing is Standing.WRONG
    assert (remote["group fleet"].standing, remote["group fleet"].detail) == (
        Standing.WRONG,
        "disabled; policy default",
    )


async def test_a_group_by_another_ca_or_without_a_policy_is_told(site: Site):
    await site.set_up()
    attestation = {"type": "x509", "x509": {"caReferences": {"primary": "other"}}}
    site.enrollments.store(("enrollmentGroups", "theirs"), {"enrollmentGroupId": "theirs", "attestation": attestation})
    ours = {"type": "x509", "x509": {"caReferences": {"primary": "PLANT-intermediate"}}}
    site.enrollments.store(("enrollmentGroups", "bare"), {"enrollmentGroupId": "bare", "attestation": ours})
    remote = await site.remote("theirs")
    assert remote["group theirs"].detail == "it attests by another CA"
    assert remote["group bare"].detail == "enabled; no credential policy"
    assert "group theirs" not in await site.remote()


async def test_an_enrollment_of_the_devices_own_is_told_because_it_wins(site: Site):
    await site.set_up()
    document = {"registrationId": "dev-1", "attestation": {"type": "symmetricKey"}, "provisioningStatus": "disabled"}
    site.enrollments.store(("enrollments", "dev-1"), document)
    assert (await site.remote())["enrollment dev-1"].detail == "disabled; no credential policy; wins over the group"
