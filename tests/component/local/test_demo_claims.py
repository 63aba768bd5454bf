"""The demo's claims: they hold on a good end, and each of them can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleetcert.local.cloud import Attempt, Issued
from fleetcert.local.demo.claims import Sight, summarize
from fleetcert.local.fleet import device_names
from fleetcert.local.manners import Manner
from shared.contracts import AlertType

DEVICES = 6


def alert(kind: str, device_id: str, level: str = "") -> dict[str, Any]:
    return {
        "id": f"{kind}/{device_id}/{level}",
        "type": kind,
        "subject": f"devices/{device_id}",
        "data": {"level": level},
    }


def seen(device_id: str, manner: Manner) -> dict[str, Any]:
    newest = "old" if manner in (Manner.DEAF, Manner.DISABLED) else "new"
    return {
        "session": None if manner is Manner.DISABLED else {"connectedAt": ""},
        "certificate": {"thumbprint": f"{device_id}-{newest}"},
        "refusals": [{"reason": "the device is disabled"}] if manner is Manner.DISABLED else [],
        "cloudToDevice": {"accepted": 0 if manner is Manner.DISABLED else 2},
    }


def good_end() -> Sight:
    manners = device_names(DEVICES)
    obedient = [d for d, m in manners.items() if m not in (Manner.DEAF, Manner.DISABLED)]
    issued = {d: [Issued(f"{d}-old", "t1"), *([Issued(f"{d}-new", "t2")] if d in obedient else [])] for d in manners}
    records = {
        d: {"certificate": {"thumbprint": issued[d][-1].thumbprint, "validUntil": issued[d][-1].not_after}}
        for d in manners
    }
    alerts = [
        *(alert(AlertType.CERTIFICATE_ISSUED, d) for d in manners),
        *(alert(AlertType.CERTIFICATE_RENEWED, d) for d in obedient),
        alert(AlertType.CERTIFICATE_RENEWAL_OVERDUE, "sim-deaf", "warning"),
        alert(AlertType.CERTIFICATE_RENEWAL_OVERDUE, "sim-deaf", "critical"),
        alert(AlertType.CERTIFICATE_EXPIRED, "sim-deaf", "expired"),
        alert(AlertType.CERTIFICATE_EVIDENCE_MISMATCH, "sim-liar"),
        alert(AlertType.DEVICE_DISABLED, "sim-disabled"),
    ]
    return Sight(
        manners=manners,
        identities={d: "disabled" if m is Manner.DISABLED else "enabled" for d, m in manners.items()},
        hub={d: seen(d, m) for d, m in manners.items()},
        issued=issued,
        alerts=alerts,
        dead_letters=["iot-events/0/1"],
        attempts=[Attempt(d, "Success") for d in manners] + [Attempt("sim-disabled", "Failure")],
        records=records,
        exported=list(manners),
    )


def test_a_good_end_holds_and_is_counted() -> None:
    summary = summarize(good_end())
    assert summary.failures == []
    assert (summary.devices, summary.issued, summary.recorded_exactly, summary.renewed) == (6, 10, 6, 4)
    assert (summary.overdue, summary.refused_by_hub, summary.blocked_by_dps, summary.dead_letters) == (1, 1, 1, 1)


def without_alert(kind: str) -> Callable[[Sight], Sight]:
    return lambda sight: replace(sight, alerts=[a for a in sight.alerts if a["type"] != kind])


def of_device(member: str, device_id: str, value: Any) -> Callable[[Sight], Sight]:
    return lambda sight: replace(sight, **{member: {**getattr(sight, member), device_id: value}})


WRONGS: dict[str, Callable[[Sight], Sight]] = {
    "identities in the hub": of_device("identities", "stranger", "enabled"),
    "recorded": of_device("records", "sim-001", {"certificate": {"thumbprint": "sim-001-new", "validUntil": "t3"}}),
    "has not renewed": of_device("issued", "sim-001", [Issued("sim-001-new", "t2")]),
    "IoT Hub took no command": of_device("hub", "sim-001", {"certificate": {"thumbprint": "sim-001-new"}}),
    "no alert of its renewal": without_alert(AlertType.CERTIFICATE_RENEWED),
    "not announced exactly once": without_alert(AlertType.CERTIFICATE_ISSUED),
    "was told under 2 ids": lambda sight: replace(sight, alerts=[*sight.alerts, {**sight.alerts[-1], "id": "again"}]),
    "escalated []": without_alert(AlertType.CERTIFICATE_RENEWAL_OVERDUE),
    "its expiry was not told once": without_alert(AlertType.CERTIFICATE_EXPIRED),
    "was overdue": lambda sight: replace(
        sight, alerts=[*sight.alerts, alert(AlertType.CERTIFICATE_RENEWAL_OVERDUE, "sim-001", "warning")]
    ),
    "its false expiry was not noticed": without_alert(AlertType.CERTIFICATE_EVIDENCE_MISMATCH),
    "dead letters instead of": lambda sight: replace(sight, dead_letters=[]),
    "its identity is enabled": of_device("identities", "sim-disabled", "enabled"),
    "is still connected": of_device("hub", "sim-disabled", {**seen("sim-disabled", Manner.DISABLED), "session": {}}),
    "the hub has not refused it": of_device(
        "hub", "sim-disabled", {**seen("sim-disabled", Manner.DISABLED), "refusals": []}
    ),
    "DPS has not refused it": lambda sight: replace(sight, attempts=[]),
    "exported 0 devices": lambda sight: replace(sight, exported=[]),
    "its end was not told once": without_alert(AlertType.DEVICE_DISABLED),
}


@pytest.mark.parametrize("words", WRONGS)
def test_each_claim_can_fail(words: str) -> None:
    failures = summarize(WRONGS[words](good_end())).failures
    assert any(words in failure for failure in failures), failures
