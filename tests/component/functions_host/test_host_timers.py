"""Timer triggers in the real runtime: ticks, overruns, retries, and what was missed while the host was down."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httpx


def test_a_timer_ticks_on_the_second_and_once_a_tick(sample_host: Any, eventually: Any) -> None:
    runs = eventually(lambda: len(found := sample_host.noted("tick")) >= 3 and found)

    seconds = [int(run["at"]) for run in runs[:3]]
    assert seconds == list(range(seconds[0], seconds[0] + 3))
    assert all(run["at"] % 1 < 0.6 for run in runs[:3])
    assert not any(run["past_due"] for run in runs[:3])


def test_a_schedule_below_a_minute_has_no_status(sample_host: Any, eventually: Any) -> None:
    assert eventually(lambda: sample_host.noted("tick"))[0]["status"] == {}


def test_runs_of_one_timer_never_overlap(sample_host: Any, eventually: Any) -> None:
    runs = eventually(lambda: len(found := sample_host.noted("slow_tick")) >= 6 and found)

    assert [run["phase"] for run in runs[:6]] == ["start", "end"] * 3


def test_a_tick_that_came_due_during_a_run_is_past_due(sample_host: Any, eventually: Any) -> None:
    starts = eventually(lambda: len(found := sample_host.noted("slow_tick", phase="start")) >= 2 and found)

    assert [start["past_due"] for start in starts[:2]] == [False, True]


def test_what_was_missed_while_the_host_was_down_is_made_up_for_once(sample_host: Any, eventually: Any) -> None:
    eventually(lambda: sample_host.noted("yearly"))
    eventually(lambda: len(sample_host.noted("tick")) >= 3)

    runs = sample_host.noted("yearly")
    assert [run["past_due"] for run in runs] == [True]
    assert set(runs[0]["status"]) == {"Last", "LastUpdated", "Next"}


def test_a_retry_policy_repeats_a_failing_timer_and_then_ends(sample_host: Any, eventually: Any) -> None:
    eventually(lambda: len(sample_host.noted("retried_on_startup")) >= 3)
    eventually(lambda: sample_host.noted("retried_on_startup", retry=2))

    runs = sample_host.noted("retried_on_startup")
    assert [run["retry"] for run in runs] == [0, 1, 2]
    assert all(later["at"] - earlier["at"] > 0.9 for earlier, later in pairwise(runs))
    assert not any(run["past_due"] for run in runs)


def test_the_master_key_runs_a_timer_at_once(http: httpx.Client, sample_host: Any, eventually: Any) -> None:
    before = len(sample_host.noted("yearly", past_due=False))
    key = {"x-functions-key": sample_host.keys["master"]}

    assert http.post("/admin/functions/yearly").status_code == 401
    assert http.post("/admin/functions/nothing", headers=key).status_code == 404
    assert http.post("/admin/functions/yearly", headers=key).status_code == 202
    eventually(lambda: len(sample_host.noted("yearly", past_due=False)) == before + 1)
