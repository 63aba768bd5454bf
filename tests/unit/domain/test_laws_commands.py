"""The laws of deciding: for every lifetime and policy a device is asked in time, seldom, and never twice at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import DAY
from support.fakes import NOON

from shared.domain.applying import apply, command_sent, command_throttled, delayed, postponed
from shared.domain.circumstances import Circumstances, Interval, Pause
from shared.domain.deciding import Action, decide
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, Command, DeviceRecord, Evidence, State

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
LEVELS = ["warning", "critical", "expired"]


def seconds(least: int, most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(least, most).map(lambda s: timedelta(seconds=s))


lifetimes = seconds(60, 90 * 86_400)
policies = st.builds(
    RenewalPolicy,
    window=seconds(1, 200 * 86_400),
    share=st.fractions(Fraction(1, 100), Fraction(99, 100), max_denominator=100),
    spread=st.fractions(0, Fraction(1, 2), max_denominator=10),
    command_ttl=seconds(1, 3 * 86_400),
)
circumstances = st.builds(
    Circumstances,
    pauses=st.lists(
        st.builds(Pause, until=seconds(0, 100 * 86_400).map(NOON.__add__), reason=st.just("x")), max_size=2
    ).map(tuple),
    windows=st.none()
    | st.lists(seconds(0, 100 * 86_400), max_size=3).map(
        lambda starts: tuple(Interval(NOON + s, NOON + s + 2 * HOUR) for s in sorted(starts))
    ),
    rotated=st.sampled_from([frozenset(), frozenset({"CN=old"})]),
)


def device(lifetime: timedelta, device_id: str = "dev-1", identity: str = "aa") -> DeviceRecord:
    """A device whose certificate began at noon."""
    return DeviceRecord(
        device_id=device_id,
        registration_id=device_id,
        hub="hub-1",
        first_seen=NOON,
        updated_at=NOON,
        state=State.VALID,
        certificate=Certificate(
            identity=identity,
            thumbprint=identity,
            issuer="CN=old",
            valid_from=NOON,
            valid_until=NOON + lifetime,
            evidence=Evidence.PARSED,
            first_seen=NOON,
        ),
        next_deadline=NOON,
    )


@dataclass
class Silence:
    """A device that never answers, decided on whenever it is due, until its certificate has expired."""

    record: DeviceRecord
    policy: RenewalPolicy
    around: Circumstances = field(default_factory=Circumstances)
    commands: list[tuple[datetime, Command]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    decisions: int = 0

    def endure(self, answers: list[str]) -> None:
        """answers: what befalls the commands in turn: sent, lost, throttled, postponed, delayed."""
        while self.record.state is not State.EXPIRED:
            now = self.record.due_at
            assert now is not None, "a living device without a deadline is never looked at again"
            self._decide(now, answers.pop() if answers else "sent")
            due = self.record.due_at
            assert due is None or due > now, "a device that is due for ever"
            self.decisions += 1
            assert self.decisions < 5000

    def _decide(self, now: datetime, answer: str) -> None:
        decision = decide(self.record, now, self.policy, self.around)
        self.told += decision.alerted
        if decision.action is not Action.SEND_COMMAND:
            self.record = apply(self.record, decision, now).record
        elif answer == "postponed":
            self.record = postponed(self.record, decision, now + MINUTE, now).record
        else:
            decision = delayed(self.record, decision, MINUTE / 2 if answer == "delayed" else timedelta())
            self.record = apply(self.record, decision, now).record
            assert decision.command is not None
            self.commands.append((now, decision.command))
        self._dispatch(now, answer)

    def _dispatch(self, now: datetime, answer: str) -> None:
        self.record = replace(self.record, pending=(), dispatch_by=None)
        if self.record.command is None or self.record.command.sent_at is not None or answer == "lost":
            return
        if answer == "throttled":
            self.record = command_throttled(self.record, now + MINUTE, now).record
        else:
            self.record = command_sent(self.record, now).record


fates = st.lists(st.sampled_from(["sent", "lost", "throttled", "postponed", "delayed"]), max_size=30)


@given(lifetimes, policies, st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_window_is_never_the_whole_life(lifetime: timedelta, policy: RenewalPolicy, number: int) -> None:
    certificate = device(lifetime).certificate
    assert certificate is not None
    assert policy.window_of(certificate) < lifetime
    assert NOON < policy.opens_at(certificate) <= policy.due_at(certificate, f"dev-{number}") < NOON + lifetime


@given(lifetimes, policies, circumstances, fates)
@settings(max_examples=20, deadline=None)
def test_the_number_of_commands_for_one_certificate_is_bounded(
    lifetime: timedelta, policy: RenewalPolicy, around: Circumstances, answers: list[str]
) -> None:
    silence = Silence(device(lifetime), policy, around)
    silence.endure(answers)
    certificate = silence.record.certificate
    assert certificate is not None
    asked_for = lifetime if around.rotated else policy.window_of(certificate)
    # patience doubles sixteen times, and stays at 65,536 command lives then
    assert len(silence.commands) <= 17 + asked_for / (policy.command_life(certificate) * 2**16)


@given(lifetimes)
@settings(max_examples=20, deadline=None)
def test_by_default_a_silent_device_gets_at_most_eight_commands(lifetime: timedelta) -> None:
    silence = Silence(device(lifetime), RenewalPolicy())
    silence.endure([])
    assert 1 <= len(silence.commands) <= 8


@given(lifetimes, policies, circumstances, fates)
@settings(max_examples=20, deadline=None)
def test_no_two_commands_for_one_certificate_live_at_once(
    lifetime: timedelta, policy: RenewalPolicy, around: Circumstances, answers: list[str]
) -> None:
    silence = Silence(device(lifetime), policy, around)
    silence.endure(answers)
    ids = [command.id for _, command in silence.commands]
    assert len(set(ids)) == len(ids)
    for (_, earlier), (queued_at, _) in zip(silence.commands, silence.commands[1:], strict=False):
        assert earlier.expires_at <= queued_at


@given(lifetimes, policies, circumstances, fates)
@settings(max_examples=20, deadline=None)
def test_every_escalation_is_told_once_and_in_order_whatever_happens_to_the_commands(
    lifetime: timedelta, policy: RenewalPolicy, around: Circumstances, answers: list[str]
) -> None:
    silence = Silence(device(lifetime), policy, around)
    silence.endure(answers)
    assert [level for level in silence.told if level in LEVELS] == LEVELS


@given(lifetimes, policies, st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_spread_is_stable_and_stays_in_the_first_part_of_the_window(
    lifetime: timedelta, policy: RenewalPolicy, number: int
) -> None:
    certificate = device(lifetime).certificate
    assert certificate is not None
    offset = policy.due_at(certificate, f"dev-{number}") - policy.opens_at(certificate)
    assert timedelta() <= offset <= policy.window_of(certificate) * float(policy.spread) + timedelta(microseconds=1)
    assert offset == policy.due_at(certificate, f"dev-{number}") - policy.opens_at(certificate)


def test_the_spread_of_one_devices_certificates_is_near_uniform_too() -> None:
    """Else a device that is unlucky once would be unlucky all its life."""
    policy, bins = RenewalPolicy(), [0] * 16
    for number in range(1600):
        certificate = device(30 * DAY, identity=f"{number:064x}").certificate
        assert certificate is not None
        offset = policy.due_at(certificate, "dev-1") - policy.opens_at(certificate)
        bins[int(offset / (7 * DAY / 4) * 16)] += 1
    chi_square = sum((count - 100) ** 2 / 100 for count in bins)
    assert chi_square < 37.7  # 15 degrees of freedom, p = 0.001
