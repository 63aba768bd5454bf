"""Promise: the audit's last word on each device is known, and only what does not hold is done again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.operating.decisions import Decision, last_decisions

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def entry(kind: str, minute: int, device_id: str = "dev-1", reason: str = "stolen") -> dict[str, Any]:
    at = (NOON + timedelta(minutes=minute)).isoformat()
    return {"kind": kind, "deviceId": device_id, "at": at, "actor": "ann", "reason": reason}


def device(containment: dict[str, Any] | None) -> dict[str, Any]:
    return {"containment": containment}


def shut_out(at: datetime, release: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"requestedAt": at.isoformat(), "release": release}


DISABLED = Decision("dev-1", "disable", NOON, "ann", "stolen")
ENABLED = Decision("dev-1", "enable", NOON, "ann", "found")


@given(
    st.permutations(
        [
            entry("disableRequested", 1),
            entry("enableRequested", 2),
            entry("disableRequested", 3, reason="stolen again"),
            entry("enableRequested", 4, "dev-2"),
            entry("certificateRenewed", 5),
            {"kind": "renewalsPaused", "at": NOON.isoformat()},
        ]
    )
)
def test_the_newest_decision_of_each_device_counts_in_whatever_order_they_stand(entries: list[dict[str, Any]]):
    told = [(d.device_id, d.verb, d.reason) for d in last_decisions(entries)]
    assert told == [("dev-1", "disable", "stolen again"), ("dev-2", "enable", "stolen")]


@pytest.mark.parametrize(
    ("decision", "containment", "is_open"),
    [
        (DISABLED, None, True),
        (DISABLED, shut_out(NOON - timedelta(days=1)), False),
        (DISABLED, shut_out(NOON, release={}), True),
        (ENABLED, None, False),
        (ENABLED, shut_out(NOON - timedelta(days=1)), True),
        (ENABLED, shut_out(NOON - timedelta(days=1), release={}), False),
        (ENABLED, shut_out(NOON), False),
        (ENABLED, shut_out(NOON + timedelta(seconds=5)), False),
    ],
)
def test_only_what_does_not_hold_is_open(decision: Decision, containment: dict[str, Any] | None, is_open: bool):
    assert decision.is_open(device(containment)) is is_open


def test_the_reason_says_whose_decision_it_was():
    assert DISABLED.reason_again == "stolen (again: ann, 2026-11-23T12:00:00Z)"


@given(st.text(min_size=1, max_size=2000), st.text(max_size=500))
def test_a_reason_is_never_longer_than_the_api_takes(reason: str, actor: str):
    again = Decision("dev-1", "disable", NOON, actor, reason).reason_again
    assert len(again) <= 256
    assert again.startswith(reason[:100])
    assert again.endswith(f"{actor[:100]}, 2026-11-23T12:00:00Z)")
