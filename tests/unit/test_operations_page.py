"""The operator's page names every setting that the app reads and every metric that it has, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from shared import labels, telemetry
from shared.domain import reasons
from shared.settings import Settings, TelemetrySettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
BY_THE_PLATFORM = {
    "IDENTITY_ENDPOINT",
    "WEBSITE_AUTH_ENABLED",
    "WEBSITE_SITE_NAME",
    "WEBSITE_INSTANCE_ID",
    "REGION_NAME",
}


def in_settings_table() -> set[str]:
    section = PAGE.split("## Settings")[1].split("The triggers also need")[0]
    cells = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {name for row in cells for name in re.findall(r"`(\w+)`", row[1] + row[3]) if not name.islower()}


def test_every_setting_stands_in_the_table_and_no_other() -> None:
    kinds = Settings, TelemetrySettings
    read = {info.encode_name for kind in kinds for info in msgspec.structs.fields(kind)} - BY_THE_PLATFORM
    assert in_settings_table() == read


def test_every_binding_of_a_trigger_is_named() -> None:
    bound = {n for f in (ROOT / "functions").glob("*.py") for n in re.findall(r'"%(\w+)%"', f.read_text())}
    assert {name for name in bound if f"`{name}`" not in PAGE} == set()


def test_every_kind_that_the_history_and_the_audit_know_stands_in_its_table_and_no_other() -> None:
    for prefix, heading in (("HISTORY_", "What the history says happened"), ("AUDIT_", "What the [audit]")):
        table = PAGE.split(heading)[1].split("\n\n")[1]
        told = {k for line in table.splitlines()[2:] for k in re.findall(r"`(\w+)`", line.split("|")[1])}
        assert told == {value for name, value in vars(reasons).items() if name.startswith(prefix)}


def rows_of_metrics() -> list[list[str]]:
    section = PAGE.split("## Metrics")[1].split("## Reasons")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]


def test_the_table_of_metrics_is_that_of_the_code_in_its_order() -> None:
    told = [tuple(row[:5]) for row in rows_of_metrics()]
    assert told == [
        (f"`{m.name}`", m.kind, f"`{m.unit}`", ", ".join(f"`{a}`" for a in m.attributes), m.description)
        for m in telemetry.METRICS
    ]


def test_every_metric_says_what_to_do_when_it_is_bad_and_leads_to_a_page_that_is_there() -> None:
    for row in rows_of_metrics():
        assert len(row) == 6, row
        assert row[5], row[0]
        for target in re.findall(r"\]\(([^)#]+)", row[5]):
            assert (ROOT / "docs" / target).is_file(), target


def test_every_value_that_the_table_of_metrics_names_is_one() -> None:
    labelled = [(name, metric.name) for metric in telemetry.METRICS for name in metric.attributes]
    known = set().union(*(labels.known(name, metric) or () for name, metric in labelled))
    words = {word for row in rows_of_metrics() for word in re.findall(r"`([A-Za-z0-9-]+)`", row[5])}
    assert words - known == {"examined", "skipped", "audit"}  # two metrics' short names, and a port's
