"""Issuing for many: parallel, resumable, and with nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.verification import PolicyBuilder, Store

from fleetcert.certificates import CertificateAuthority
from fleetcert.device.credential import Credential
from fleetcert.onboarding.authority import create_hierarchy
from fleetcert.onboarding.bootstrap import DeviceOptions
from fleetcert.onboarding.fleet import BATCH, Job, Results, Tally, issue_fleet, processes, write_rejected
from fleetcert.onboarding.inventory import read_inventory
from fleetcert.onboarding.roster import Device, Rejected, Roster
from fleetcert.onboarding.workspace import DeviceFiles
from shared.errors import NotPossible

FAST = DeviceOptions(key_type="p256")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return create_hierarchy(tmp_path_factory.mktemp("ca"), "plant", key_type="p256").intermediate


def roster(count: int) -> Roster:
    return Roster([Device(line, f"dev-{line}") for line in range(1, count + 1)])


class Run:
    """A fleet in a folder."""

    def __init__(self, folder: Path, authority: CertificateAuthority) -> None:
        self.folder = folder
        self.inventory = folder / "inventory-ids.jsonl"
        self.authority = authority
        self.progress: list[int] = []

    def issue(self, roster: Roster, options: DeviceOptions = FAST, mapper=map) -> Tally:
        return issue_fleet(
            roster, self.folder / "devices", self.inventory, self.authority, options, mapper, self.progress.append
        )

    def files(self, name: str) -> DeviceFiles:
        return DeviceFiles.in_folder(self.folder / "devices" / name)

    def listed(self) -> list[str]:
        return [line.registration_id for line in read_inventory(self.inventory)]

    def contents(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path, authority: CertificateAuthority) -> Run:
    return Run(tmp_path, authority)


def test_every_device_gets_a_credential_and_a_line_in_the_order_of_the_list(run: Run):
    tally = run.issue(roster(BATCH + 5))
    assert (tally.made, tally.kept, tally.rejected) == (BATCH + 5, 0, [])
    assert run.listed() == [f"dev-{n}" for n in range(1, BATCH + 6)]
    assert run.progress == [BATCH, 5]
    verifier = PolicyBuilder().store(Store([run.authority.parents[0]])).build_client_verifier()
    for name in run.listed():
        files = run.files(name)
        credential = Credential.from_pem(files.key.read_bytes(), files.full_chain.read_bytes())
        assert verifier.verify(credential.leaf, list(credential.chain[1:-1]))
        assert files.key.stat().st_mode & 0o777 == 0o600


def test_a_fleet_that_is_issued_again_is_kept_to_the_byte(run: Run):
    run.issue(roster(5))
    before = run.contents()
    tally = run.issue(roster(5))
    assert (tally.made, tally.kept) == (0, 5)
    assert run.contents() == before


class Interrupted(Exception):
    """Ctrl-C, or a machine that goes down."""


def stopping_after(batches: int) -> Callable[[Callable[[Job], Results], Iterable[Job]], Iterator[Results]]:
    def mapper(work: Callable[[Job], Results], jobs: Iterable[Job]) -> Iterator[Results]:
        for position, job in enumerate(jobs):
            if position == batches:
                raise Interrupted
            yield work(job)

    return mapper


def test_a_run_that_was_cut_short_is_gone_on_with(run: Run):
    with pytest.raises(Interrupted):
        run.issue(roster(3 * BATCH), mapper=stopping_after(2))
    assert not run.inventory.exists()
    keys = {path: path.read_bytes() for path in run.folder.rglob("*.key")}
    assert len(keys) == 2 * BATCH
    tally = run.issue(roster(3 * BATCH))
    assert (tally.made, tally.kept) == (BATCH, 2 * BATCH)
    assert keys.items() <= run.contents().items()
    assert len(run.listed()) == 3 * BATCH


@pytest.mark.parametrize("missing", ["certificate", "chain", "full_chain"])
def test_a_device_that_was_left_half_done_is_completed_with_its_key(run: Run, missing: str):
    run.issue(roster(1))
    key = run.files("dev-1").key.read_bytes()
    getattr(run.files("dev-1"), missing).unlink()
    assert run.issue(roster(1)).made == 1
    files = run.files("dev-1")
    assert files.key.read_bytes() == key
    assert (
        Credential.from_pem(key, files.full_chain.read_bytes()).leaf
        == Credential.from_pem(key, files.certificate.read_bytes()).leaf
    )


def test_one_that_cannot_be_issued_is_named_and_stops_no_other(run: Run):
    run.issue(roster(3))
    run.files("dev-2").key.write_bytes(run.files("dev-1").key.read_bytes())
    run.files("dev-3").key.write_bytes(b"broken")
    listed = roster(5)
    listed.rejected.append(Rejected(4, "a b", "from the list"))
    tally = run.issue(Roster([*listed.devices[:3], Device(5, "dev-5")], listed.rejected))
    assert (tally.made, tally.kept) == (1, 1)
    assert [one.line for one in tally.rejected] == [2, 3, 4]
    assert "the key that is here belongs to another certificate" in tally.rejected[0].reason
    assert "holds no private key" in tally.rejected[1].reason
    assert run.listed() == ["dev-1", "dev-5"]


def test_a_disk_that_is_full_is_a_reason_and_no_crash(run: Run):
    run.issue(roster(1))
    run.files("dev-2").key.parent.write_text("a file where a folder has to be")
    tally = run.issue(roster(2))
    assert (tally.kept, [one.line for one in tally.rejected]) == (1, [2])


def test_a_certificate_that_has_ended_is_issued_again_for_its_key(run: Run):
    run.issue(roster(1), replace(FAST, life=timedelta(0)))
    key = run.files("dev-1").key.read_bytes()
    assert run.issue(roster(1)).made == 1
    assert run.files("dev-1").key.read_bytes() == key


def test_a_ca_that_has_ended_is_told_once_and_nothing_is_made(tmp_path: Path):
    ended = create_hierarchy(tmp_path / "ca", "plant", key_type="p256", intermediate_life=timedelta(0)).intermediate
    run = Run(tmp_path / "fleet", ended)
    with pytest.raises(NotPossible, match="the CA plant-intermediate can issue nothing: it ended on"):
        run.issue(roster(3))
    assert run.contents() == {}


def test_processes_issue_what_one_would(run: Run):
    with processes(2) as mapper:
        tally = run.issue(roster(2 * BATCH + 1), mapper=mapper)
    assert (tally.made, tally.rejected) == (2 * BATCH + 1, [])
    assert run.listed() == [f"dev-{n}" for n in range(1, 2 * BATCH + 2)]
    assert run.issue(roster(2 * BATCH + 1)).kept == 2 * BATCH + 1


def test_what_processes_are_given_shows_no_key(run: Run):
    jobs: list[Job] = []
    run.issue(roster(1), mapper=lambda work, given: [work(job) for job in given if not jobs.append(job)])
    assert "PRIVATE" not in repr(jobs[0])


def test_rejected_lines_go_to_a_file_that_is_gone_when_all_is_well(tmp_path: Path):
    path = tmp_path / "rejected.csv"
    write_rejected(path, [Rejected(3, 'a,"b', "odd")])
    assert path.read_text() == 'line,text,reason\n3,"a,""b",odd\n'
    write_rejected(path, [])
    assert not path.exists()
