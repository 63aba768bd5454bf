"""A pass as its row keeps it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import DAY
from support.fakes import NOON

from shared.domain.passes import MOST_RESTARTS, Pass, Phase, joined, mark, parted, seen_key, seen_range

PASS = Pass(id="20261123T120000", started_at=NOON, next_request_at=NOON, expected=10, shards=16)


def test_a_row_gives_the_pass_back_and_ignores_what_others_wrote():
    finished = replace(PASS, phase=Phase.DONE, finished_at=NOON + DAY, continuation="x", gone=3, failure="y")
    assert Pass.from_values({**finished.to_values(), "PartitionKey": "fleet", "later": 1}) == finished
    assert "finishedAt" not in PASS.to_values()
    assert Pass.from_values(PASS.to_values()) == PASS


def test_a_row_of_an_older_version_has_the_defaults():
    values = PASS.to_values()
    del values["recontained"]
    assert Pass.from_values(values).recontained == 0


@given(st.lists(st.text(min_size=1)))
def test_marks_that_were_joined_come_apart(device_ids: list[str]):
    assert parted(joined(device_ids)) == [mark(device_id) for device_id in device_ids]


@pytest.mark.parametrize("partition", ["s01", ""])
def test_the_range_of_a_shards_marks_holds_them_and_no_others(partition: str):
    low, high = seen_range(PASS.id, partition)
    assert low <= seen_key(PASS.id, "s01", 0) < high
    assert low <= seen_key(PASS.id, "s01", 999_999) < high
    assert not low <= seen_key("20261123T120001", "s01", 0) < high
    assert (low <= seen_key(PASS.id, "s10", 0) < high) is (partition == "")


@pytest.mark.parametrize(
    ("changes", "progress"),
    [
        ({"listed": 4}, (4, 10)),
        ({"listed": 12}, (12, 12)),
        ({"phase": Phase.REGISTRATIONS, "listed": 12, "registrations": 3}, (3, 12)),
        ({"phase": Phase.ABSENT, "shard": 5}, (5, 16)),
        ({"phase": Phase.CLEARING}, (0, 1)),
        ({"phase": Phase.DONE}, (1, 1)),
    ],
)
def test_progress_is_of_the_present_phase(changes: dict[str, int], progress: tuple[int, int]):
    assert replace(PASS, **changes).progress == progress


def test_a_list_is_begun_again_a_few_times_and_then_the_pass_gives_up():
    value = replace(PASS, listed=7, continuation="x")
    for _ in range(MOST_RESTARTS):
        value = replace(value.restarted(), listed=7, continuation="x")
        assert (value.phase, value.failure) == (Phase.TWINS, "")
    assert replace(PASS, listed=7).restarted().listed == 0
    assert (value.restarted().phase, value.restarted().failure != "") == (Phase.CLEARING, True)
