"""The bill: its counts come from the services, its prices have a date, and the page shows what is computed now."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from support import app_settings

from bench import monthly_cost
from bench.cost_model import PRICES, Month, Tariff, renewals_per_month, ticks_per_month
from bench.counted_work import TIMERS
from bench.monthly_cost import PAGE, SIZES, count, written

TARIFF = Tariff.read()


def dollars(devices: int, tariff: Tariff = TARIFF) -> float:
    return sum(line.dollars for line in Month(devices, count(), tariff).lines())


def test_the_page_shows_what_is_computed_now():
    assert written(PAGE.read_text(), count(), TARIFF) == PAGE.read_text(), "run python -m bench.monthly_cost"


def test_prices_have_a_date_a_region_and_a_source():
    document = json.loads(PRICES.read_text())
    assert date.fromisoformat(document["date"]).year >= 2026
    assert document["region"]
    assert len(document["source"]) > 40


def test_every_price_and_every_assumption_is_used():
    for part in ("prices", "free", "assumptions"):
        for name in getattr(TARIFF, part):
            changed = replace(TARIFF, **{part: {**getattr(TARIFF, part), name: getattr(TARIFF, part)[name] * 3}})
            assert any(dollars(size, changed) != dollars(size) for size in SIZES), name


def test_every_timer_of_the_app_is_count():
    schedules = {name for name in json.loads(app_settings.TUNED.read_text()) if name.endswith("_SCHEDULE")}
    assert schedules == set(TIMERS), "bench/counted_work.py must say what each timer calls"


def test_a_renewal_is_counted_with_all_that_belongs_to_it():
    renewal = count().renewal
    assert renewal["c2d"] == 1
    assert renewal["alert"] == 2  # RenewalDue and Renewed
    assert renewal["queue"] == 3  # put, taken, deleted
    assert 5 <= renewal["table"] <= 20
    assert renewal["blob.append"] > 0


def test_a_larger_fleet_costs_more_and_less_a_device():
    small, middle, large = (dollars(size) for size in SIZES)
    assert small < middle < large
    assert small / SIZES[0] > middle / SIZES[1] > large / SIZES[2]


def test_the_narrow_route_is_worth_its_name():
    assert dollars(100_000, TARIFF.without_foreign_twin_changes()) < dollars(100_000) / 2


def test_reconciliation_reads_two_rows_a_device():
    assert count().walk_per_device["RECONCILE_SCHEDULE"]["table"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("schedule", "a_day"), [("0 * * * * *", 1440), ("30 */5 * * * *", 288), ("0 5 * * * *", 24)])
def test_ticks_are_counted_from_the_schedule(schedule: str, a_day: int):
    assert ticks_per_month(schedule) == pytest.approx(a_day * 30.4)


def test_a_certificate_of_thirty_days_is_renewed_a_bit_more_than_monthly():
    assert 1.2 < renewals_per_month(30) < 1.4


def test_the_bench_gives_the_months_as_results():
    from bench.runner import Effort

    names = [result.name for result in monthly_cost.measure(Effort(quick=True))]
    assert names == ["table_requests_per_renewal", *(f"month_of_{size}_devices" for size in SIZES)]
