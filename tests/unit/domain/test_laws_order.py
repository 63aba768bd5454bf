"""The law of order: whatever way a device's events come, shuffled, repeated, mixed, there is one record in the end."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import DAY, claim, device_pem, dps_event, dps_record, lifecycle_event, twin_event
from support.fakes import NOON

from shared.domain.changes import Policies
from shared.domain.envelope import Envelope
from shared.domain.parsing import parse_dps_event, parse_hub_event
from shared.domain.policy import BeliefPolicy
from shared.domain.record import DeviceRecord, State
from shared.domain.reducing import reduce

POLICIES = Policies(belief=BeliefPolicy(validity=30 * DAY))
HOUR = timedelta(hours=1)
PEMS = [device_pem("dev-1", NOON + n * HOUR) for n in range(8)]


@dataclass
class Life:
    """A device that lives through steps, an hour each, and the events that the cloud makes of them."""

    hub: str = "hub-1"
    version: int = 1
    certificate: int = 0
    credential: int = 0
    steps: int = 0
    events: list[Envelope] = field(default_factory=list)

    @property
    def at(self) -> datetime:
        return NOON + self.steps * HOUR

    def create(self) -> None:
        self.version = 1
        self._lifecycle("createDeviceIdentity")

    def recreate(self) -> None:
        self._lifecycle("deleteDeviceIdentity")
        self.steps += 1
        self.create()

    def move(self) -> None:
        """The device is registered in another hub, and then deleted in the old one."""
        old, self.hub = self.hub, f"hub-{self.steps + 2}"
        self.create()
        self.steps += 1
        self.report()
        self.steps += 1
        self._lifecycle("deleteDeviceIdentity", old)

    def renew(self) -> None:
        self.certificate += 1
        self.report()

    def retire_and_return(self) -> None:
        """Deleted, and made anew by DPS when the device registers again, as the log may tell a moment before."""
        self.retire()
        self.steps += 1
        self.register()
        self.create()

    def retire(self) -> None:
        self._lifecycle("deleteDeviceIdentity")

    def report(self) -> None:
        self._twin({"certificate": claim(NOON + self.certificate * HOUR, thumbprint=f"{self.certificate:064x}")})

    def renew_with_proof(self) -> None:
        self.certificate += 1
        pem = PEMS[self.certificate % len(PEMS)]
        self._twin({"certificate": claim(NOON + self.certificate * HOUR, thumbprint=None, pem=pem)})

    def forget(self) -> None:
        """The device reports that it holds no certificate."""
        self._twin({"certificate": None})

    def onboard(self) -> None:
        """The device got another onboarding credential; as in every patch, it writes all that it holds."""
        self.credential += 1
        self.report()

    def onboard_alone(self) -> None:
        """A device that speaks of its onboarding credential in a patch of its own."""
        self.credential += 1
        self._twin({"onboarding": {"thumbprint": f"{self.credential:02x}", "validUntil": None, "pem": None}})

    def register(self) -> None:
        self.events.append(dps_event(dps_record(), sequence=self.steps, at=self.at))

    def be_refused(self) -> None:
        self.events.append(dps_event(dps_record(result="ClientError"), sequence=self.steps, at=self.at))

    def _twin(self, reported: dict[str, object]) -> None:
        self.version += 1
        self.events.append(twin_event(reported, version=self.version, sequence=self.steps, hub=self.hub, at=self.at))

    def _lifecycle(self, operation: str, hub: str | None = None) -> None:
        self.events.append(lifecycle_event(operation, sequence=self.steps, hub=hub or self.hub, at=self.at))


def lived(steps: Sequence[str]) -> list[Envelope]:
    life = Life()
    for step in ("create", *steps):
        getattr(life, step)()
        life.steps += 1
    return life.events


STEPS = ["recreate", "move", "renew", "report", "renew_with_proof", "forget", "onboard", "onboard_alone", "register"]
STEPS += ["be_refused", "retire_and_return"]
lives = st.lists(st.sampled_from(STEPS), max_size=7).map(lived)
whole_lives = st.tuples(st.lists(st.sampled_from(STEPS), max_size=7), st.sampled_from([*STEPS, "retire"]))


def after(envelopes: Iterable[Envelope]) -> DeviceRecord:
    """The record once all these were heard, in this order."""
    record: DeviceRecord | None = None
    for envelope in envelopes:
        parse = parse_dps_event if envelope.hub == "dps-events" else parse_hub_event
        for event in parse(envelope):
            reduction = reduce(record, event, POLICIES)
            record = reduction.record if reduction else record
    assert record is not None
    return record


def what_counts(record: DeviceRecord) -> dict[str, object]:
    """All of a record by which a device is dealt with; how many lives were heard of, and when, is not.

    The retired are all alike. Of which nothing is known, that is looked at within the hour of whatever came first.
    """
    certificate = record.certificate
    if record.state is State.RETIRED:
        return {"state": record.state, "deadline": record.due_at}
    return {
        "state": (record.state, record.reason),
        "life": (record.hub, record.version, record.incarnation_since),
        "certificate": certificate and (certificate.identity, certificate.valid_until, certificate.evidence),
        "onboarding": record.onboarding,
        "deadline": record.next_deadline if certificate else record.next_deadline is not None,
        "command": record.command,
    }


@given(whole_lives, st.randoms(use_true_random=False), st.integers(0, 6))
@settings(max_examples=400, deadline=None)
def test_any_order_and_repetition_of_all_kinds_of_events_ends_in_one_record(
    life: tuple[list[str], str], dice: random.Random, repeated: int
) -> None:
    events = lived([*life[0], life[1]])
    heard = [*events, *dice.choices(events, k=repeated)]
    dice.shuffle(heard)
    assert what_counts(after(heard)) == what_counts(after(events))


@given(whole_lives, st.data())
@settings(max_examples=100, deadline=None)
def test_a_stream_that_is_rewound_again_and_again_ends_as_if_it_was_read_once(
    life: tuple[list[str], str], data: st.DataObject
) -> None:
    """What Event Hubs does after a lost checkpoint: order is kept, and any part comes again."""
    events = lived([*life[0], life[1]])
    heard: list[Envelope] = []
    position = 0
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, position))
        position = data.draw(st.integers(start, len(events)))
        heard += events[start:position]
    assert what_counts(after([*heard, *events[data.draw(st.integers(0, position)) :]])) == what_counts(after(events))


def test_a_report_from_before_a_registration_does_not_answer_it() -> None:
    *before, report, registration = lived(["renew", "register"])
    assert what_counts(after([*before, registration, report])) == what_counts(after([*before, report, registration]))
