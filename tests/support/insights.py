"""What the local Application Insights has received, as tests look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

type Item = Mapping[str, Any]

PATIENCE_SECONDS = 60.0
QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
}
"""Keeps the exporter from reporting on itself to Microsoft."""


def received(azure: Mapping[str, Any], kind: str | None = None) -> list[Item]:
    """The items in the log, of one `baseType` or of all."""
    parameters = {"type": kind} if kind else None
    return list(httpx.get(azure["applicationinsights_log_url"], params=parameters).raise_for_status().json())


def wait_for[T](look: Callable[[], T]) -> T:
    """What `look` gives as soon as it is not empty; its last answer when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def base(item: Item) -> Item:
    """An item's own data."""
    data: Item = item["data"]["baseData"]
    return data


def operation(item: Item) -> str:
    """The trace that an item belongs to."""
    return str(item["tags"].get("ai.operation.id", ""))


def measured(items: Sequence[Item]) -> list[tuple[str, float, Mapping[str, str]]]:
    """Name, value and attributes of metric items."""
    return [
        (metric["name"], metric["value"], base(item).get("properties", {}))
        for item in items
        for metric in base(item)["metrics"]
    ]
