"""What a power loss leaves, and who may read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from fleetcert.device.events import State
from fleetcert.device.keystore import REMEMBERED_COMMANDS, Keystore

POWER_LOSS_POINTS = ("open", "fdopen", "fsync", "replace", "unlink")


class PowerLoss(Exception):
    """The world ends here; unlike OSError, nobody may handle it."""


@pytest.fixture
def power_fails_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Callable[[], int]]]:
    """Arms the n-th operation on the disk; the function that it returns counts the operations so far."""

    def arm(nth: int) -> Callable[[], int]:
        count = 0

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def operation(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == nth:
                    raise PowerLoss
                return real(*arguments, **options)

            return operation

        for name in POWER_LOSS_POINTS:
            monkeypatch.setattr(os, name, counted(getattr(os, name)))
        return lambda: count

    yield arm
    monkeypatch.undo()


def test_power_may_fail_at_every_operation_on_the_disk_and_the_device_never_loses_its_certificate(
    bench: Any, power_fails_at: Callable[[int], Callable[[], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0
    for nth in range(1, 200):
        bench.restart()
        old = bench.bring_up()
        power_fails_at(nth)
        failures = nth
        with suppress(PowerLoss):
            bench.send(command_id=f"c-{nth}")
            bench.agent.step()
            bench.settle()
            failures = nth - 1
        monkeypatch.undo()
        if failures < nth:
            break
        kept = Keystore(bench.directory)
        assert kept.current is not None
        if kept.current != old:
            assert kept.candidate is None
        bench.restart()
        bench.bring_up()
        assert {path.suffix for path in bench.directory.iterdir()} == {".pem", ".json"}
        assert len(list(bench.directory.glob("*.pem"))) == 1
    assert failures > 20


def test_power_may_fail_at_every_operation_of_the_first_start(
    bench: Any, power_fails_at: Callable[[int], Callable[[], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for nth in range(1, 40):
        bench.directory = bench.directory.with_name(f"state-{nth}")
        power_fails_at(nth)
        with suppress(PowerLoss):
            bench.restart()
            bench.bring_up()
        monkeypatch.undo()
        bench.restart()
        bench.bring_up()
        assert bench.agent.state is State.OPERATIONAL


def test_a_command_that_was_taken_is_obeyed_after_a_power_loss(bench: Any) -> None:
    old = bench.bring_up()
    bench.keystore.remember_command("c-1", renew=True)
    bench.restart()
    bench.settle()
    assert bench.current.credential != old.credential
    assert bench.keystore.wanted is None


def test_a_candidate_is_proven_after_a_power_loss_and_not_asked_for_again(bench: Any) -> None:
    bench.bring_up()
    bench.send()
    bench.agent.step()
    candidate = bench.keystore.candidate
    bench.restart()
    assert bench.agent.state is State.PROVING
    bench.settle()
    assert bench.current == candidate
    assert len(bench.registrar.requests) == 2


def test_keys_are_for_their_owner_alone(bench: Any) -> None:
    previous = os.umask(0)
    try:
        bench.directory = bench.directory.with_name("open-to-all")
        bench.restart()
        bench.bring_up()
    finally:
        os.umask(previous)
    assert bench.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in bench.directory.iterdir()} == {0o600}


def test_a_file_left_aside_does_not_lend_its_mode(bench: Any) -> None:
    left_behind = bench.directory / ".state.json.new"
    left_behind.write_bytes(b"half")
    left_behind.chmod(0o644)
    bench.keystore.remember_command("c", renew=False)
    assert (bench.directory / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"current": {"thumbprint": 1}}'])
def test_a_store_that_cannot_be_read_counts_as_empty(bench: Any, damage: bytes) -> None:
    bench.bring_up()
    (bench.directory / "state.json").write_bytes(damage)
    bench.restart()
    assert bench.agent.state is State.NEW
    bench.bring_up()


def test_a_credential_file_that_is_damaged_sends_the_device_back_to_dps(bench: Any) -> None:
    current = bench.bring_up()
    current.file.write_bytes(b"no key")
    bench.restart()
    bench.bring_up()
    assert len(bench.registrar.requests) == 2


def test_only_the_newest_commands_are_remembered(bench: Any) -> None:
    bench.bring_up()
    for number in range(REMEMBERED_COMMANDS + 1):
        bench.keystore.remember_command(f"c-{number}", renew=False)
    assert not bench.keystore.knows_command("c-0")
    assert Keystore(bench.directory).knows_command("c-1")
