"""The snapshot and the summary: right, resumable, and as cheap at a million devices as at a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from support.fakes import NOON, FakeClock
from support.paged_table import PagedTable

from shared.contracts import format_instant
from shared.domain import keys
from shared.domain.policy import RenewalPolicy
from shared.domain.snapshot import Line, Tally
from shared.errors import InfrastructureFault
from shared.schemas.answers import encode
from shared.schemas.summary import summary_answer
from shared.services.ports import Write
from shared.services.snapshots import RUN, Snapshots
from shared.services.store import FleetStore
from shared.services.summaries import FIRST_DUE, Summaries

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SHARDS = 4
POLICY = RenewalPolicy()


class FaultyTable(PagedTable):
    """Commits as often as it is told to, then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.commits_left = 10**9

    async def commit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
        if self.commits_left == 0:
            raise InfrastructureFault("table", "down")
        self.commits_left -= 1
        return await super().commit(partition, writes)


def fill(table: PagedTable, devices: int, *, due: int = 0) -> None:
    """Valid devices whose certificates of 30 days end one after the other, one a minute; some are due now."""
    lists: dict[str, list[tuple[str, dict[str, Any]]]] = {p: [] for p in keys.shard_names(SHARDS)}
    for n in range(devices):
        device_id, end = f"dev-{n:07}", NOON + timedelta(minutes=n % 43200)
        shard = keys.shard_of(device_id, SHARDS)
        values = {"state": "valid", "reason": "CertificateCurrent", "validUntil": format_instant(end)}
        lists[shard].append((keys.expires_key(end, device_id), values))
        if n < due:
            lists[shard].append((keys.due_key(NOON - timedelta(seconds=n), device_id), {"deviceId": device_id}))
    for partition, rows in lists.items():
        table.put_in_bulk(partition, rows)


def snapshots(table: PagedTable, clock: FakeClock, step: int = 5000) -> Snapshots:
    return Snapshots(FleetStore(table, SHARDS), table, clock, POLICY, validity=30 * DAY, step=step)


def line(state: str = "valid", left: timedelta | None = 20 * DAY, life: timedelta | None = 30 * DAY) -> Line:
    end = NOON + left if left is not None else None
    return Line(state=state, reason="r", valid_until=end, valid_from=end - life if end and life else None)


def tally_of(*lines: Line) -> Tally:
    tally = Tally(at=NOON)
    for one in lines:
        tally.add(one, POLICY, 30 * DAY)
    return tally


@pytest.mark.parametrize(
    ("left", "bucket"),
    [
        (-DAY, "expired"),
        (timedelta(), "expired"),
        (HOUR, "1d"),
        (DAY, "1d"),
        (2 * DAY, "7d"),
        (30 * DAY, "30d"),
        (31 * DAY, "90d"),
        (91 * DAY, "later"),
        (None, "none"),
    ],
)
def test_each_device_is_in_one_bucket_by_the_time_that_is_left(left: timedelta | None, bucket: str):
    histogram = tally_of(line(left=left)).histogram()
    assert {name for name, count in histogram.items() if count} == {bucket}
    assert list(histogram) == ["expired", "1d", "7d", "30d", "90d", "later", "none"]


def test_the_earliest_end_is_that_of_a_certificate_in_use_that_has_not_come():
    assert tally_of().earliest is None
    gone = [line("expired", -DAY), line("disabled", HOUR), line("unknown", None), line("valid", timedelta())]
    assert tally_of(*gone).earliest is None
    tally = tally_of(*gone, line("valid", 3 * DAY), line("overdue", 2 * DAY), line("valid", 9 * DAY))
    assert tally.earliest == NOON + 2 * DAY
    assert Tally.from_document(tally.to_document()) == tally


def test_a_snapshot_of_an_earlier_version_can_be_read():
    document = tally_of(line()).to_document()
    del document["earliest"]
    assert Tally.from_document(document).earliest is None


@pytest.mark.parametrize(
    ("left", "life", "day"),
    [
        (20 * DAY, 30 * DAY, 13),  # 7 days before the end
        (5 * DAY, 30 * DAY, 0),  # open already
        (2 * DAY, 6 * DAY, 0),  # a third of the life: two days
        (3 * DAY, 6 * DAY, 1),
        (20 * DAY, None, 13),  # as the policy's validity has it
    ],
)
def test_a_renewal_is_expected_on_the_day_on_which_the_window_opens(left: timedelta, life: timedelta | None, day: int):
    days = tally_of(line(left=left, life=life)).days_ahead()
    assert [n for n, (_, count) in enumerate(days) if count] == [day]
    assert (len(days), days[0][0]) == (30, "2026-11-23")


@pytest.mark.parametrize("state", ["expired", "disabled", "unknown", "provisional"])
def test_who_is_not_asked_to_renew_is_in_no_forecast(state: str):
    assert sum(count for _, count in tally_of(line(state)).days_ahead()) == 0


def test_the_ten_reasons_that_most_devices_have_are_told():
    tally = Tally(at=NOON)
    for n in range(12):
        for _ in range(n + 1):
            tally.add(Line(state="valid", reason=f"r{n:02}", valid_until=None, valid_from=None), POLICY, DAY)
    assert tally.top_reasons() == [(f"r{n:02}", n + 1) for n in range(11, 1, -1)]


async def test_every_device_is_counted_once():
    table, clock = PagedTable(), FakeClock()
    fill(table, 12_345)
    tally = await snapshots(table, clock, step=100).run()
    assert tally is not None
    assert (tally.total, tally.states, sum(tally.histogram().values())) == (12_345, {"valid": 12_345}, 12_345)


@pytest.mark.parametrize("survived", range(12))
async def test_a_scan_that_was_cut_short_goes_on_and_ends_in_the_same_counts(survived: int):
    table, clock = FaultyTable(), FakeClock()
    fill(table, 1000)
    table.commits_left = survived
    whole = PagedTable()
    fill(whole, 1000)
    expected = await snapshots(whole, FakeClock(), step=100).run()
    with pytest.raises(InfrastructureFault):
        await snapshots(table, clock, step=100).run()
    table.commits_left = 10**9
    assert await snapshots(table, clock, step=100).run() == expected


async def test_a_run_ends_with_its_time_and_the_next_goes_on():
    class Slow(PagedTable):
        async def commit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
            clock.advance(RUN / 3)
            return await super().commit(partition, writes)

    table, clock = Slow(), FakeClock()
    fill(table, 1000)
    results = [await snapshots(table, clock, step=100).run() for _ in range(8)]
    finished = [tally for tally in results if tally is not None]
    assert results[0] is None
    assert [tally.total for tally in finished] == [1000]


async def test_a_young_snapshot_is_not_taken_again_before_its_hour():
    table, clock = PagedTable(), FakeClock()
    fill(table, 10)
    assert await snapshots(table, clock).run() is not None
    table.reset()
    clock.advance(timedelta(minutes=59))
    assert await snapshots(table, clock).run() is None
    assert table.traffic.requests == 2
    clock.advance(timedelta(minutes=1))
    assert await snapshots(table, clock).run() is not None


async def test_a_scan_reads_each_page_once():
    table, clock = PagedTable(), FakeClock()
    fill(table, 40_000)
    table.reset()
    await snapshots(table, clock).run()
    traffic = table.reset()
    assert traffic.entities == 40_000
    assert traffic.pages <= 40 + 3 * SHARDS
    assert traffic.transactions <= 40_000 / 5000 + SHARDS + 1


async def summary_traffic(devices: int) -> tuple[int, int]:
    table, clock = PagedTable(), FakeClock()
    fill(table, devices, due=1000)
    await snapshots(table, clock).run()
    table.reset()
    await Summaries(FleetStore(table, SHARDS), table, clock).summary()
    traffic = table.reset()
    return traffic.requests, traffic.entities


async def test_a_summary_is_one_read_and_one_page_a_shard_whatever_the_fleets_size():
    small, large = await summary_traffic(2_000), await summary_traffic(60_000)
    assert small == large == (1 + SHARDS, 1 + SHARDS * (FIRST_DUE + 1))


async def test_what_is_due_today_is_live_and_the_longest_overdue_comes_first():
    table, clock = PagedTable(), FakeClock()
    fill(table, 300, due=150)
    tomorrow = keys.due_key((NOON + DAY).replace(hour=0), "tomorrow")
    tonight = keys.due_key((NOON + DAY).replace(hour=0) - timedelta(seconds=1), "tonight!")
    shard = keys.shard_names(SHARDS)[0]
    summaries = Summaries(FleetStore(table, SHARDS), table, clock)
    found = await summaries.summary()
    assert found.snapshot is None
    assert (len(found.due), found.more_due) == (FIRST_DUE, True)
    assert [one.device_id for one in found.due[:2]] == ["dev-0000149", "dev-0000148"]
    assert found.due[0].due_at == NOON - timedelta(seconds=149)
    other = PagedTable()
    other.put_in_bulk(shard, [(tonight, {}), (tomorrow, {})])
    found = await Summaries(FleetStore(other, SHARDS), other, clock).summary()
    assert ([one.device_id for one in found.due], found.more_due) == (["tonight!"], False)


async def test_a_summary_is_answered_in_the_apis_words():
    table, clock = PagedTable(), FakeClock()
    fill(table, 3, due=1)
    await snapshots(table, clock).run()
    answer = summary_answer(await Summaries(FleetStore(table, SHARDS), table, clock).summary())
    assert answer.snapshot is not None
    assert (answer.snapshot.as_of, answer.snapshot.total) == ("2026-11-23T12:00:00Z", 3)
    assert (answer.snapshot.states, len(answer.snapshot.renewals)) == ({"valid": 3}, 30)
    assert b'"topReasons":[{"reason":"CertificateCurrent","count":3}]' in encode(answer)
    assert b'"due":[{"deviceId":"dev-0000000","dueAt":"2026-11-23T12:00:00Z"}],"moreDue":false' in encode(answer)
