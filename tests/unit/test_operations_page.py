"""What docs/operations.md lists is what the code has: alerts, metrics, reasons, and schedules that are set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from shared import telemetry
from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.fleet_alerts import FleetAlertType

PROJECT = Path(__file__).parents[2]
SOURCES = ("shared", "functions", "fleetcert")


def rows(section: str) -> list[list[str]]:
    """The cells of all rows of a section's tables, without backquotes."""
    text = (PROJECT / "docs/operations.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def constants(owner: object) -> Mapping[str, str]:
    return {name: value for name, value in vars(owner).items() if name.isupper() and isinstance(value, str)}


def test_every_metric_is_listed_as_it_is():
    expected = [[m.name, m.kind, m.unit, ", ".join(m.attributes), m.description] for m in telemetry.METRICS]
    assert rows("Metrics") == expected


def test_every_metric_is_in_the_list_of_metrics():
    declared = [value for value in vars(telemetry).values() if isinstance(value, telemetry.Metric)]
    assert declared == list(telemetry.METRICS)
    assert len({m.name for m in telemetry.METRICS}) == len(telemetry.METRICS)


def test_every_metric_is_measured_somewhere_with_the_attributes_that_it_declares():
    code = "\n".join(p.read_text() for folder in SOURCES for p in (PROJECT / folder).rglob("*.py"))
    for name, metric in vars(telemetry).items():
        if isinstance(metric, telemetry.Metric):
            calls = re.findall(rf"telemetry\.note\(\s*telemetry\.{name}\b([^\n]*)", code)
            assert calls, f"nothing measures {metric.name}"
            for call in calls:
                assert set(re.findall(r'"([\w.]+)":', call)) == set(metric.attributes), name


def test_names_follow_opentelemetrys_rules():
    for metric in telemetry.METRICS:
        assert re.fullmatch(r"fleetcert(\.[a-z][a-z_]*)+", metric.name), metric.name
        assert metric.unit == "s" or re.fullmatch(r"\{[a-z]+\}", metric.unit), metric.name


def test_every_reason_is_listed_once_and_no_other():
    listed = [row[0] for row in rows("Reasons")]
    assert sorted(listed) == sorted(constants(reasons).values())
    assert all(row[1] for row in rows("Reasons"))


def test_every_alert_is_listed_once_and_no_other():
    listed = [row[0] for row in rows("Alerts")]
    assert sorted(listed) == sorted([*constants(AlertType).values(), *constants(FleetAlertType).values()])


def test_every_schedule_of_a_timer_is_set_locally():
    from fleetcert.local import app_settings

    wanted = {
        name
        for path in (PROJECT / "functions").glob("*.py")
        for name in re.findall(r'schedule="%(\w+)%"', path.read_text())
    }
    assert wanted <= app_settings._FIXED.keys()
