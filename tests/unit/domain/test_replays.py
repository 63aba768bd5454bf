"""Replayed events: believed where they come past IoT Hub, and never where a device could have written them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.events import claim, twin_event
from support.fakes import NOON

from shared.domain.envelope import Envelope
from shared.domain.parsing import parse_hub_event
from shared.domain.replays import ENQUEUED_AT, OF, PREFIX, SYSTEM, as_first_sent, replay_properties

HOUR = timedelta(hours=1)
ORIGINAL = twin_event({"certificate": claim()}, sequence=7)


def replayed(original: Envelope = ORIGINAL, **properties: Any) -> Envelope:
    """The original, sent again an hour later straight to the event hub."""
    carried = replay_properties(original.event_id, original.properties, original.system, original.enqueued_at)
    return replace(
        original,
        sequence_number=99,
        enqueued_at=NOON + HOUR,
        properties={**carried, **properties},
        system={"x-opt-offset": "12"},
    )


def test_a_replay_has_the_annotations_and_the_age_of_its_original_and_a_place_of_its_own():
    again = as_first_sent(replayed())
    assert again.system == {"x-opt-offset": "12", **ORIGINAL.system}
    assert again.enqueued_at == NOON
    assert again.event_id == "iot-events/0/99"
    assert again.properties[OF] == "iot-events/0/7"
    (event,), (first,) = parse_hub_event(again), parse_hub_event(ORIGINAL)
    assert event == replace(first, event_id="iot-events/0/99")


def test_without_its_properties_a_replay_would_be_nobodys_business():
    assert not parse_hub_event(replace(replayed(), properties=ORIGINAL.properties))


def test_what_came_through_iot_hub_cannot_pass_for_something_else():
    forged = replace(replayed(), system={"iothub-message-source": "Telemetry"})
    assert as_first_sent(forged) is forged
    assert not parse_hub_event(as_first_sent(forged))


@pytest.mark.parametrize("annotation", ["iothub-connection-device-id", "iothub-enqueuedtime", "iothub-anything"])
def test_any_annotation_of_iot_hubs_is_enough_to_tell(annotation: str):
    forged = replace(replayed(), system={annotation: "x"})
    assert as_first_sent(forged) is forged


def test_a_replay_cannot_make_itself_younger():
    again = as_first_sent(replayed(**{ENQUEUED_AT: "2099-01-01T00:00:00Z"}))
    assert again.enqueued_at == NOON + HOUR


def test_a_replay_carries_nothing_but_iot_hubs_annotations():
    system = json.dumps({"x-opt-sequence-number": 1, "iothub-message-source": "twinChangeEvents"})
    assert as_first_sent(replayed(**{SYSTEM: system})).system == {
        "x-opt-offset": "12",
        "iothub-message-source": "twinChangeEvents",
    }


@pytest.mark.parametrize(("name", "value"), [(SYSTEM, "{"), (SYSTEM, "[]"), (SYSTEM, 1), (ENQUEUED_AT, "soon")])
def test_a_replay_that_is_misshapen_is_taken_as_it_came(name: str, value: object):
    envelope = replayed(**{name: value})
    assert as_first_sent(envelope) is envelope


def test_a_replay_of_a_replay_names_the_first_original():
    second = as_first_sent(replayed())
    assert as_first_sent(replayed(second)).properties[OF] == "iot-events/0/7"


def test_what_is_no_replay_stays_as_it_is():
    assert as_first_sent(ORIGINAL) is ORIGINAL
    assert not [name for name in ORIGINAL.properties if name.startswith(PREFIX)]
