"""What a device remembers, and that only the changes that exist can be made to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.device.csr import KeyKind
from fleetcert.device.errors import DirectoryInUse
from fleetcert.device.glimpse import Glimpse
from fleetcert.device.journal import REMEMBERED_COMMANDS, Answer, Attempt, Entry, Journal, Wish
from fleetcert.device.ports import Way
from fleetcert.device.states import SERVING, TRANSITIONS, State, may_follow
from fleetcert.device.store import DeviceStore

NAMES = st.text("0123456789abcdef", min_size=1, max_size=32)
ENTRIES = st.builds(Entry, NAMES, st.text(max_size=20), st.text(max_size=20))
JOURNALS = st.builds(
    Journal,
    state=st.sampled_from(State),
    current=st.none() | ENTRIES,
    candidate=st.none() | ENTRIES,
    attempt=st.none() | st.builds(Attempt, NAMES, st.sampled_from(Way), NAMES),
    proofs=st.integers(0, 99),
    wish=st.none() | st.builds(Wish, NAMES, st.none() | st.sampled_from(Way)),
    commands=st.lists(NAMES, max_size=5).map(tuple),
    answers=st.lists(st.builds(Answer, NAMES, NAMES, st.none() | NAMES), max_size=5).map(tuple),
)


@given(JOURNALS)
def test_a_journal_comes_back_from_its_json_as_it_was(journal: Journal) -> None:
    assert Journal.from_json(journal.to_json()) == journal


@given(st.sampled_from(State), st.sampled_from(State))
def test_a_journal_moves_along_the_transitions_and_no_other_way(before: State, after: State) -> None:
    journal = Journal(state=before)
    if may_follow(before, after):
        assert journal.moved(after).state is after
    else:
        with pytest.raises(ValueError, match="may not follow"):
            journal.moved(after)


def test_every_state_can_be_reached_from_the_factory_and_leads_back_to_operation() -> None:
    def reachable(start: State) -> set[State]:
        seen, ahead = set(), {start}
        while ahead:
            seen |= ahead
            ahead = {after for state in ahead for after in TRANSITIONS[state]} - seen
        return seen

    assert reachable(State.NEW) == set(State)
    assert all(State.OPERATIONAL in reachable(state) for state in State)
    assert all(State.REGISTERING in TRANSITIONS[state] for state in SERVING)


def test_a_command_that_was_taken_is_obeyed_after_a_power_loss(bench: Any) -> None:
    old = bench.bring_up()
    bench.store.hear("c-1", wish=Wish("c-1"))
    bench.restart()
    bench.settle()
    assert bench.current != old
    assert bench.store.wish is None


def test_a_candidate_is_proven_after_a_power_loss_and_not_asked_for_again(bench: Any) -> None:
    bench.bring_up()
    bench.send()
    bench.agent.step()
    candidate = bench.store.candidate
    bench.restart()
    assert bench.agent.state is State.PROVING
    bench.settle()
    assert bench.current == candidate
    assert len(bench.registrar.requests) == 2


def test_a_proof_that_kills_the_process_counts_as_one(bench: Any) -> None:
    bench.bring_up()
    bench.send()
    bench.agent.step()
    for expected in (1, 2):
        assert bench.store.note_proof() == expected
        bench.restart()
    assert bench.store.note_proof() == 3


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 2}', b'{"format": 2, "state": "lost"}']
)
def test_a_journal_that_cannot_be_read_counts_as_empty(bench: Any, damage: bytes) -> None:
    bench.bring_up()
    (bench.directory / "state.json").write_bytes(damage)
    bench.restart()
    assert bench.agent.state is State.NEW
    bench.bring_up()


@pytest.mark.parametrize("suffix", [".key", ".pem"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_damaged_key_or_certificate_sends_the_device_back_to_dps(bench: Any, suffix: str, is_gone: bool) -> None:
    bench.bring_up()
    file = next(bench.directory.glob(f"*{suffix}"))
    file.unlink() if is_gone else file.write_bytes(b"no key")
    bench.restart()
    bench.bring_up()
    assert len(bench.registrar.requests) == 2
    assert len(bench.key_files()) == 1


@pytest.mark.parametrize("suffix", [".key", ".pem"])
def test_a_damaged_candidate_leaves_the_certificate_in_use(bench: Any, suffix: str) -> None:
    old = bench.bring_up()
    bench.send()
    bench.agent.step()
    name = json.loads((bench.directory / "state.json").read_text())["candidate"]["key"]
    (bench.directory / f"{name}{suffix}").write_bytes(b"no key")
    bench.restart()
    assert bench.store.candidate is None
    assert bench.current == old
    bench.settle()
    assert bench.current not in {None, old}  # the wish is still there


def test_a_key_of_an_attempt_that_is_damaged_is_made_anew(bench: Any) -> None:
    bench.restart()
    attempt = bench.store.begin(State.REGISTERING, Way.DPS, KeyKind.P256)
    (bench.directory / f"{attempt.key}.key").write_bytes(b"no key")
    bench.restart()
    bench.bring_up()
    assert len(bench.key_files()) == 1


def test_only_the_newest_commands_are_remembered(bench: Any) -> None:
    bench.bring_up()
    for number in range(REMEMBERED_COMMANDS + 1):
        bench.store.hear(f"c-{number}")
    assert not bench.store.knows_command("c-0")
    bench.restart()
    assert bench.store.knows_command("c-1")


def test_the_store_holds_no_key_that_the_journal_does_not_name(bench: Any, tmp_path: Path) -> None:
    bench.bring_up()
    for name in ("0000.key", "0000.pem", ".0000.key.new"):
        (bench.directory / name).write_bytes(b"left behind")
    bench.restart()
    assert not list(bench.directory.glob("*0000*"))


def test_two_agents_cannot_live_in_one_directory(bench: Any) -> None:
    with pytest.raises(DirectoryInUse, match="another agent lives in"):
        DeviceStore(bench.directory)
    bench.agent.close()
    DeviceStore(bench.directory).close()


def test_a_look_from_outside_changes_nothing_and_shows_no_secret(bench: Any) -> None:
    current = bench.bring_up()
    bench.send()
    bench.agent.step()
    before = {path: path.read_bytes() for path in bench.directory.iterdir()}
    seen = Glimpse.of(bench.directory).to_wire()
    assert {path: path.read_bytes() for path in bench.directory.iterdir()} == before
    assert seen["state"] == "proving"
    assert seen["current"]["thumbprint"] == current.thumbprint
    assert seen["candidate"]["thumbprint"] == bench.store.candidate.thumbprint
    assert seen["command"] == "c-1"
    assert not any(line in str(seen) for file in bench.key_files() for line in file.read_text().splitlines()[1:-1])


def test_a_look_at_an_empty_directory_shows_a_new_device(tmp_path: Path) -> None:
    assert Glimpse.of(tmp_path).to_wire()["state"] == "new"
