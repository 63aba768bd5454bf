from __future__ import annotations

import string
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain import keys

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
device_ids = st.text(string.ascii_letters + string.digits + "-:.+%_#*?!(),=@;$'", min_size=1, max_size=128)


@given(device_ids)
def test_an_escaped_id_is_read_back(device_id: str) -> None:
    assert keys.unescape(keys.escape(device_id)) == device_id


@given(st.text(min_size=1, max_size=40))
def test_any_text_can_be_escaped_and_read_back(text: str) -> None:
    assert keys.unescape(keys.escape(text)) == text


@given(device_ids)
def test_an_escaped_id_holds_nothing_that_a_table_key_forbids(device_id: str) -> None:
    assert not set(keys.device_key(device_id)) & set("/\\#?\t\n\r")


@given(device_ids, device_ids, st.integers(0, 10**6), st.text(max_size=20))
def test_the_range_of_one_id_holds_no_row_of_another(one: str, other: str, second: int, event_id: str) -> None:
    low, high = keys.history_range(one)
    row = keys.history_key(other, NOON + timedelta(seconds=second), event_id)
    assert (low <= row < high) == (one == other)


@given(device_ids, st.text(max_size=300))
def test_no_key_is_longer_than_a_table_takes(device_id: str, event_id: str) -> None:
    for key in (keys.history_key(device_id, NOON, event_id), keys.audit_key(device_id, NOON, event_id)):
        assert len(key) <= 512


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_later_changes_have_smaller_history_keys(first: int, second: int) -> None:
    earlier, later = sorted((first, second))
    key = [keys.history_key("d", NOON + timedelta(milliseconds=m), "e") for m in (earlier, later)]
    assert (key[1] < key[0]) == (earlier < later)


@given(st.integers(-(10**7), 10**7), device_ids)
def test_the_range_of_what_is_due_holds_exactly_the_deadlines_that_have_come(seconds: int, device_id: str) -> None:
    row = keys.due_key(NOON + timedelta(seconds=seconds), device_id)
    assert (keys.DUE <= row < keys.due_until(NOON)) == (seconds <= 0)


def test_a_device_without_an_expiry_comes_last() -> None:
    assert keys.expires_key(datetime(9998, 12, 31, tzinfo=UTC), "z") < keys.expires_key(None, "a")


def test_devices_are_spread_over_all_shards() -> None:
    counts = Counter(keys.shard_of(f"device-{n}", 32) for n in range(32_000))
    assert set(counts) == set(keys.shard_names(32))
    assert min(counts.values()) > 800


def test_a_device_keeps_its_shard_for_ever() -> None:
    assert [keys.shard_of(d, 32) for d in ("dev-1", "dev-2", "Dev-1")] == ["s15", "s17", "s02"]
