"""Answers of the API as its own models make them, for what the local Azure would take long to come to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.contracts import format_instant
from shared.domain.operations import OperationKind, OperationState
from shared.domain.record import BlockState, Evidence, State
from shared.domain.snapshot import BUCKETS, LATER, NONE
from shared.schemas import examples
from shared.schemas.devices import CommandAnswer, ContainmentAnswer, DeviceAnswer, OnboardingAnswer
from shared.schemas.lists import ActorAnswer, ChangeAnswer, DeviceLineAnswer, HistoryAnswer, PageAnswer
from shared.schemas.me import MeAnswer
from shared.schemas.operations import FailureAnswer, OperationAnswer, OperationPageAnswer
from shared.schemas.problems import Problem, problem_of
from shared.schemas.rulings import PauseAnswer, RulingsAnswer, SuppressionAnswer
from shared.schemas.summary import ReasonAnswer, RenewalsAnswer, SnapshotAnswer, SummaryAnswer

NOW: Final = datetime.now(UTC).replace(microsecond=0)
THUMBPRINT: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LONG_ID: Final = "gateway-of-the-northern-pumping-station-" + "0123456789" * 8 + "-end"
ANN: Final = ActorAnswer("ann@contoso.example", "0b8f6a8e-5c5b-4f4e-9a57-1f6f7b2e9a11", "")


def at(**since: float) -> str:
    """An instant so long from now."""
    return format_instant(NOW + timedelta(**since))


def summary(states: Mapping[State, int]) -> SummaryAnswer:
    """A fleet with so many devices in each state."""
    total = sum(states.values())
    buckets = [*(name for _, name in BUCKETS), LATER, NONE]
    days = [(NOW + timedelta(days=n)).date().isoformat() for n in range(30)]
    snapshot = SnapshotAnswer(
        as_of=at(minutes=-3),
        total=total,
        states={state.value: number for state, number in states.items()},
        top_reasons=[ReasonAnswer("CertificateCurrent", total // 2), ReasonAnswer("CommandInFlight", 7)]
        if total
        else [],
        expiry={name: n * total // 50 for n, name in enumerate(buckets)},
        renewals=[RenewalsAnswer(day, n % 7 if total else 0) for n, day in enumerate(days)],
    )
    return SummaryAnswer(snapshot, [], more_due=False)


EMPTY_SUMMARY: Final = summary({})
FULL_SUMMARY: Final = summary({state: 3 * 10**n for n, state in enumerate(State) if state is not State.RETIRED})
NO_DEVICES: Final = PageAnswer([], None, partial=False)
NO_OPERATIONS: Final = OperationPageAnswer([], None)
EVERY_RIGHT: Final = MeAnswer(ANN.name, ANN.object_id, "", tuple(examples.Role), revocation=True)


def line(state: State, number: int) -> DeviceLineAnswer:
    """A device in this state, in a list."""
    has_certificate = state not in (State.UNKNOWN, State.RETIRED)
    return DeviceLineAnswer(
        device_id=LONG_ID if state is State.VALID else f"pump-{number:04}",
        state=state,
        reason="CertificateCurrent",
        hub="contoso-hub",
        enrollment_group="pumps of the northern region",
        tags={"site": "bern", "note": "<b>not bold</b>"},
        valid_from=at(days=number - 25) if has_certificate else None,
        valid_until=at(days=number - 1) if has_certificate else None,
        thumbprint=THUMBPRINT,
        evidence=Evidence.VERIFIED if has_certificate else None,
        issuer="CN=policy-30d,O=contoso",
    )


EVERY_STATE: Final = PageAnswer([line(state, number) for number, state in enumerate(State)], "bmV4dA==", partial=False)


def device(**changes: object) -> DeviceAnswer:
    """A device that is well, but for the changes."""
    example = msgspec.convert(examples.of(DeviceAnswer), DeviceAnswer)
    assert example.certificate is not None
    certificate = replace(example.certificate, valid_from=at(days=-20), valid_until=at(days=10))
    well = replace(
        example,
        state=State.VALID,
        reason="CertificateCurrent",
        certificate=certificate,
        containment=None,
        onboarding=OnboardingAnswer(THUMBPRINT, at(days=400)),
        tags={"site": "bern", "note": "<b>not bold</b>"},
    )
    return replace(well, **changes)


def commanded() -> DeviceAnswer:
    """A device whose command is on its way."""
    command = CommandAnswer("cmd-1", 2, "windowOpen", at(minutes=-2), at(minutes=58))
    return device(state=State.COMMANDED, reason="CommandInFlight", command=command, attempts=2)


def contained() -> DeviceAnswer:
    """A device that is being shut out; whether DPS refuses it is not certain."""
    example = msgspec.convert(examples.of(DeviceAnswer), DeviceAnswer).containment
    assert isinstance(example, ContainmentAnswer)
    doubtful = replace(
        example,
        requested_at=at(minutes=-5),
        hub_disabled_at=at(minutes=-5),
        block=BlockState.BLOCKED_UNVERIFIED,
        blocked_at=at(minutes=-4),
    )
    return device(state=State.DISABLED, reason="Containing", containment=doubtful)


def history() -> HistoryAnswer:
    """What happened to a device, with more to come."""
    kinds = ("disableRequested", "commandSent", "renewalDue", "certificateIssued", "identityCreated")
    details = {"thumbprint": THUMBPRINT, "took": "8 s"}
    changes = [
        ChangeAnswer(at(hours=-n), kind, ANN, "found in a returned crate, seal broken" if n < 2 else "", details, kind)
        for n, kind in enumerate(kinds)
    ]
    return HistoryAnswer("pump-0042", changes, "b2xkZXI=")


def operation(state: OperationState, number: int) -> OperationAnswer:
    """Long work in this state."""
    example = msgspec.convert(examples.of(OperationAnswer), OperationAnswer)
    is_running = state is OperationState.RUNNING
    return replace(
        example,
        id=f"{number:015}-5f0c2a2e",
        state=state,
        kind=list(OperationKind)[number % len(OperationKind)],
        created_at=at(minutes=-number),
        failures=[FailureAnswer(LONG_ID, "it is retired: the hub has no such device")],
        total=None if number % 2 and is_running else 42,
        cancellation=None,
        problem="IoT Hub asks for patience" if state is OperationState.FAILED else "",
    )


EVERY_OPERATION: Final = OperationPageAnswer(
    [operation(state, number) for number, state in enumerate((OperationState.RUNNING, *OperationState))], "b2xkZXI="
)


def pause(tag: str | None = None) -> PauseAnswer:
    """A pause of the fleet, or of a tag, for another hour."""
    return PauseAnswer(
        id=f"p-{tag}", tag=tag, until=at(hours=1), actor=ANN, reason="DPS is <b>down</b>", ruled_at=at(minutes=-5)
    )


def suppression(alert_type: str, device: str) -> SuppressionAnswer:
    """A suppression for another day."""
    return SuppressionAnswer(
        id=f"25160807040000{len(alert_type) % 10}-0123abcd",
        alert_type=alert_type,
        device=device,
        until=at(days=1),
        actor=ANN,
        reason="the lab is being rebuilt",
        ruled_at=None if device == "*" else at(hours=-2),
    )


NO_RULINGS: Final = RulingsAnswer([], [])
EVERY_RULING: Final = RulingsAnswer(
    [pause(), pause("site=bern"), pause("site=" + "oslo" * 30)],
    [
        suppression("Fleetcert.Certificate.Expired", "tag:site=lab"),
        suppression("Fleetcert.Certificate.RenewalOverdue", LONG_ID),
    ],
)


def problem(error: Exception) -> Problem:
    """The error as the API tells it."""
    return problem_of(error)
