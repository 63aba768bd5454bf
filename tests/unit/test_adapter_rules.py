"""The adapters' translations, without a service."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from shared.adapters.alerts import _chunks
from shared.adapters.amqp_conditions import error_of
from shared.adapters.faults import DEFAULT_PATIENCE, RequestRejected, fault_of_status, faults, retry_after
from shared.domain.alerts import Alert
from shared.errors import CommandRefused, InfrastructureFault, Throttled


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejected),
        (413, RequestRejected),
        (401, InfrastructureFault),
        (403, InfrastructureFault),
        (404, InfrastructureFault),
        (409, InfrastructureFault),
        (429, Throttled),
        (500, InfrastructureFault),
        (503, Throttled),
    ],
)
def test_only_what_a_retry_can_mend_is_a_fault_of_the_infrastructure(status: int, kind: type[Exception]):
    fault = fault_of_status("service", status, {}, "detail")
    assert type(fault) is kind


@pytest.mark.parametrize(
    ("headers", "patience"),
    [
        ({}, DEFAULT_PATIENCE),
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"retry-after": "0"}, timedelta()),
        ({"x-ms-retry-after-ms": "1500", "Retry-After": "9"}, timedelta(milliseconds=1500)),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, DEFAULT_PATIENCE),
        ({"Retry-After": "-1"}, DEFAULT_PATIENCE),
        ({"Retry-After": "99999999"}, timedelta(hours=1)),
    ],
)
def test_a_service_says_how_long_it_wants_to_be_left_alone(headers: dict[str, str], patience: timedelta):
    assert retry_after(headers) == patience


@pytest.mark.parametrize("problem", [ServiceRequestError("refused"), HttpResponseError("no identity")])
def test_no_answer_at_all_is_a_fault_of_the_infrastructure(problem: Exception):
    with pytest.raises(InfrastructureFault), faults("service"):
        raise problem


def test_errors_that_are_no_services_pass():
    with pytest.raises(KeyError), faults("service"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("condition", "description", "expected"),
    [
        ("amqp:not-found", "404001", "unreachable"),
        ("amqp:resource-limit-exceeded", "403004 DeviceMaximumQueueDepthExceeded", "queue-full"),
        ("amqp:resource-limit-exceeded", "", "queue-full"),
    ],
)
def test_a_device_that_takes_no_command_is_told_from_a_hub_that_does_not(
    condition: str, description: str, expected: str
):
    error = error_of(condition, description)
    assert isinstance(error, CommandRefused)
    assert error.condition == expected


@pytest.mark.parametrize(
    ("condition", "description"),
    [("com.microsoft:device-container-throttled", ""), ("com.microsoft:server-busy", ""), ("amqp:x", "429001")],
)
def test_a_throttle_asks_for_patience(condition: str, description: str):
    assert isinstance(error_of(condition, description), Throttled)


@pytest.mark.parametrize(
    ("condition", "description"),
    [
        ("amqp:resource-limit-exceeded", "IotHubQuotaExceeded"),
        ("amqp:unauthorized-access", ""),
        ("amqp:internal-error", ""),
        ("com.microsoft:timeout", ""),
    ],
)
def test_anything_else_is_not_the_devices_fault(condition: str, description: str):
    assert type(error_of(condition, description)) is InfrastructureFault


def alert(size: int, **changes: Any) -> Alert:
    return Alert("id", "type", "devices/d", datetime(2026, 11, 23, tzinfo=UTC), {"text": "x" * size, **changes})


@pytest.mark.parametrize("sizes", [[], [10], [10] * 5000, [400_000] * 7, [899_000, 10, 899_000], [2_000_000, 1]])
def test_alerts_go_in_as_few_requests_as_their_size_allows(sizes: list[int]):
    chunks = list(_chunks([alert(size) for size in sizes]))
    assert [len(each.data["text"]) for chunk in chunks for each in chunk] == sizes
    for chunk in chunks:
        assert len(chunk) == 1 or len(json.dumps([dict(each.data) for each in chunk])) < 1_000_000
