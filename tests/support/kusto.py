"""KQL by Microsoft's own language service: what is wrong with a query, and which columns it gives."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetcert.local.azurite import _node

SCRIPT: Final = Path(__file__).with_name("kusto.js")
_COMMON: Final = (
    "TimeGenerated: datetime, Properties: dynamic, OperationId: string, OperationName: string, AppRoleName: string, "
    "Type: string"
)
TABLES: Final[Mapping[str, str]] = {
    "AppMetrics": f"({_COMMON}, Name: string, Sum: real, Min: real, Max: real, ItemCount: int)",
    "AppRequests": f"({_COMMON}, Name: string, Success: bool, ResultCode: string, DurationMs: real, ItemCount: int)",
    "AppExceptions": f"({_COMMON}, ExceptionType: string, OuterMessage: string, ProblemId: string, ItemCount: int)",
    "AppDependencies": f"({_COMMON}, Name: string, Success: bool, DependencyType: string, Target: string, "
    "Data: string, DurationMs: real, ItemCount: int)",
    "AppTraces": f"({_COMMON}, Message: string, SeverityLevel: int, ItemCount: int)",
    "AzureMetrics": "(TimeGenerated: datetime, MetricName: string, Resource: string, ResourceProvider: string, "
    "Total: real, Count: real, Maximum: real, Minimum: real, Average: real, TimeGrain: string, UnitName: string)",
}
"""Columns that queries may use (Azure docs: Azure Monitor Logs table reference)."""


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a query, and the columns of its answer in order."""

    problems: list[str]
    columns: list[str]


def judged(queries: Mapping[str, str]) -> dict[str, Judgement]:
    """Every query's judgement, by its name."""
    asked = json.dumps({"tables": TABLES, "queries": queries})
    run = subprocess.run([_node(), SCRIPT], input=asked, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {name: Judgement(**answer) for name, answer in json.loads(run.stdout).items()}


def metrics(query: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r'["\'](fleetcert\.[\w.]+)["\']', query))


def attributes(query: str) -> set[str]:
    """The attributes of metrics that a query reads."""
    return set(re.findall(r'Properties\["([\w.]+)"\]', query))
