"""Alert rules, workbook, runbooks: every query is KQL over metrics and columns that exist, every rule has a runbook."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest
from support import bicep, kusto
from support.shell_commands import blocks

from shared.domain import reasons
from shared.domain.record import State
from shared.domain.snapshot import BUCKETS, LATER, NONE
from shared.telemetry import METRICS

RULES = json.loads((bicep.INFRA / "alert-rules.json").read_text())
WORKBOOK = json.loads((bicep.INFRA / "workbook.json").read_text())
RUNBOOKS = bicep.ROOT / "docs/runbooks"
KNOWN = {metric.name: set(metric.attributes) for metric in METRICS}


def queries() -> dict[str, str]:
    """Every query by where it stands."""
    found = {f"rule {rule['name']}": "\n".join(rule["query"]) for rule in RULES}
    for item in WORKBOOK["items"]:
        if item["type"] == 3:
            found[f"workbook {item['name']}"] = item["content"]["query"]
    for page in RUNBOOKS.glob("*.md"):
        for number, query in enumerate(
            re.findall(r'^ask "([^"]+)"', "".join(b.text for b in blocks(page)), re.MULTILINE)
        ):
            found[f"{page.name} {number}"] = query
    return found


QUERIES = queries()


@cache
def judgements() -> dict[str, kusto.Judgement]:
    return kusto.judged(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_kql_over_columns_that_exist(name: str):
    assert judgements()[name].problems == []


def test_a_query_over_a_column_that_does_not_exist_is_told():
    wrong = kusto.judged(
        {"a": "AppMetrics | where Nmae == 'x'", "b": "AppMetric | count", "c": "AppRequests | sumarize x"}
    )
    assert all(judgement.problems for judgement in wrong.values())


def test_the_queries_of_the_telemetry_page_are_kql_over_columns_that_exist():
    page = (bicep.ROOT / "docs/telemetry.md").read_text()
    found = re.findall(r"^```kusto\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    judged = kusto.judged({str(number): query for number, query in enumerate(found)})
    assert judged
    assert {name: judgement.problems for name, judgement in judged.items() if judgement.problems} == {}


@pytest.mark.parametrize("name", QUERIES)
def test_every_metric_exists_with_the_attributes_that_are_read(name: str):
    named = kusto.metrics(QUERIES[name])
    assert named - set(KNOWN) == set(), "add the metric to shared/telemetry.py and docs/operations.md"
    attributes = set().union(*(KNOWN[metric] for metric in named))
    assert kusto.attributes(QUERIES[name]) <= attributes


def test_the_values_that_queries_compare_with_are_those_of_the_app():
    text = "\n".join(QUERIES.values())
    buckets = {name for _, name in BUCKETS} | {LATER, NONE}
    assert set(re.findall(r'Within == "(\w+)"', text)) <= buckets
    assert set(re.findall(r'"state"\]\) == "(\w+)"', text)) <= {state.value for state in State}
    kinds = re.search(r"Kind in \(([^)]+)\)", text)
    assert kinds
    assert set(re.findall(r'"(\w+)"', kinds[1])) <= {
        value for name, value in vars(reasons).items() if name.startswith("HISTORY_")
    }
    functions = set(
        re.findall(r'function_name\("(\w+)"\)', "".join(f.read_text() for f in (bicep.ROOT / "functions").glob("*.py")))
    )
    assert set(re.findall(r"(?:\bName|OperationName) == [\"'](\w+)[\"']", text)) <= functions


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_every_rule_measures_a_column_of_its_query(rule):
    assert rule["column"] in judgements()[f"rule {rule['name']}"].columns


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_every_rule_is_one_that_azure_monitor_takes(rule):
    assert rule["operator"] in {"GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual", "Equals"}
    assert rule["aggregation"] in {"Average", "Count", "Maximum", "Minimum", "Total"}
    assert 0 <= rule["severity"] <= 4
    assert rule["every"] in {"PT5M", "PT10M", "PT15M", "PT30M", "PT1H"}
    assert rule["window"] in {"PT5M", "PT10M", "PT15M", "PT30M", "PT1H", "PT2H"}


def test_every_rule_has_a_runbook_and_every_runbook_a_rule():
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == {rule["name"] for rule in RULES}


def test_every_rule_links_its_runbook():
    template = (bicep.INFRA / "modules/alerts.bicep").read_text()
    assert template.count("${runbookBaseUrl}docs/runbooks/${rule.name}.md") == 2


def test_the_list_of_runbooks_has_every_rule_with_its_severity():
    rows = re.findall(r"^\| \[([\w-]+)\]\(\1\.md\) \| (\d) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    assert dict(rows) == {rule["name"]: str(rule["severity"]) for rule in RULES}


def test_every_runbook_says_what_it_is_where_to_look_and_what_to_do():
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text()
        assert page.stem == "README" or ("**Look.**" in text or "**An issuing CA" in text), page.name
        assert page.stem == "README" or re.search(r"\*\*(Do|An onboarding CA)\b|\| do \|", text), page.name


def test_the_rules_cover_what_operators_were_promised():
    assert {"no-sweep", "no-heartbeat", "poison-messages", "overdue-certificates", "expired-certificates"} | {
        "dead-letters",
        "at-capacity",
        "containment-unverified",
        "issuer-expiring",
        "function-failures",
    } <= {rule["name"] for rule in RULES}


def test_the_workbook_is_one_that_azure_reads():
    assert WORKBOOK["version"] == "Notebook/1.0"
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(set(names)) == len(names)
    for item in WORKBOOK["items"]:
        if item["type"] == 3:
            content = item["content"]
            assert (content["queryType"], content["version"]) == (0, "KqlItem/1.0")
            assert content["resourceType"] == "microsoft.operationalinsights/workspaces"
            assert content["visualization"] in {"barchart", "table", "timechart"}
            assert content["timeContextFromParameter"] == "TimeRange"
