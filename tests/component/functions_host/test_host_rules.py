"""The host's rules that need no process: schedules, routes, settings, wire values, retry policies."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetcert.local.functions_host.connections import connection
from fleetcert.local.functions_host.engine import RetryPolicy
from fleetcert.local.functions_host.host_file import TimeSpan, read_host_file
from fleetcert.local.functions_host.ncrontab import Ncrontab
from fleetcert.local.functions_host.queues import Backoff, decode_message
from fleetcert.local.functions_host.routes import RouteTable, compile_route
from fleetcert.local.functions_host.settings import ConfigurationError, expand, read_settings
from fleetcert.local.functions_host.wire import http_datum, metadata_datums, to_datum

MONDAY = datetime(2026, 11, 23, 14, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/2 * * * * *", datetime(2026, 11, 23, 14, 5, 32, tzinfo=UTC)),
        ("0 * * * * *", datetime(2026, 11, 23, 14, 6, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 11, 23, 14, 10, tzinfo=UTC)),
        ("30 5 14 * * *", datetime(2026, 11, 24, 14, 5, 30, tzinfo=UTC)),
        ("0 30 9 * * 1-5", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("0 0 0 1 Jan *", datetime(2027, 1, 1, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 23, 14, 10, tzinfo=UTC)),
    ],
)
def test_a_schedule_has_seconds_first(expression: str, expected: datetime) -> None:
    assert Ncrontab(expression).next_after(MONDAY) == expected


def test_day_of_month_and_day_of_week_must_both_match() -> None:
    friday_the_13th = Ncrontab("0 0 0 13 * 5").next_after(MONDAY)

    assert (friday_the_13th.day, friday_the_13th.isoweekday()) == (13, 5)


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * * *", "every minute", "00:05:00"])
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="NCRONTAB"):
        Ncrontab(expression)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("devices/{id}", "/api/devices/d1", {"id": "d1"}),
        ("devices/{id}", "/API/Devices/d1/", {"id": "d1"}),
        ("devices/{id}", "/api/devices", None),
        ("devices/{id?}", "/api/devices", {}),
        ("items/{n:int}", "/api/items/-12", {"n": "-12"}),
        ("items/{n:int}", "/api/items/x", None),
        ("items/{n:int:min(5)}", "/api/items/4", None),
        ("items/{n:range(1,3)}", "/api/items/3", {"n": "3"}),
        ("names/{n:alpha:length(3)}", "/api/names/abc", {"n": "abc"}),
        ("names/{n:alpha:length(3)}", "/api/names/abcd", None),
        ("names/{n:maxlength(2)}", "/api/names/abc", None),
        (
            "things/{id:guid}",
            "/api/things/7f3c9a52-1111-2222-3333-444455556666",
            {"id": "7f3c9a52-1111-2222-3333-444455556666"},
        ),
        ("things/{id:guid}", "/api/things/7", None),
        ("flags/{f:bool?}", "/api/flags/True", {"f": "True"}),
        ("{*rest}", "/api/a/b", {"rest": "a/b"}),
        ("devices/{id}", "/api/devices/a%20b%2Fc", {"id": "a b%2Fc"}),
    ],
)
def test_route_templates(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert compile_route("f", template, [], "api").match(path) == expected


def test_the_most_specific_route_wins_whatever_the_order() -> None:
    templates = {"rest": "{*rest}", "any": "d/{id}", "number": "d/{id:int}", "literal": "d/known"}
    routes = RouteTable([compile_route(name, template, [], "") for name, template in templates.items()])

    found = {path: match[0] for path in ("/d/known", "/d/7", "/d/x", "/e") if (match := routes.find("GET", path))}
    assert found == {"/d/known": "literal", "/d/7": "number", "/d/x": "any", "/e": "rest"}


@pytest.mark.parametrize("template", ["a/{id:regex(^x)}", "a/b-{id}", "a/{id:hex}"])
def test_a_route_that_cannot_be_matched_faithfully_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError):
        compile_route("f", template, [], "api")


def test_settings_of_the_environment_win(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text('{"Values": {"A": "file", "B": "file"}}')

    assert read_settings(tmp_path, {"B": "environment"}) == {"A": "file", "B": "environment"}


@pytest.mark.parametrize("content", ['{"IsEncrypted": true}', '{"Values": {"A": 1}}', "[]", "{"])
def test_settings_that_cannot_be_read_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "local.settings.json").write_text(content)

    with pytest.raises(ConfigurationError, match=r"local\.settings\.json"):
        read_settings(tmp_path, {})


def test_names_between_percent_signs_are_expanded() -> None:
    assert expand("%A%-%B%", {"A": "1", "B": "2"}) == "1-2"
    with pytest.raises(ConfigurationError, match="set C"):
        expand("%C%", {"A": "1"})


def test_host_file_settings_are_typed_defaulted_and_overridden(tmp_path: Path) -> None:
    queues = {"batchSize": 8, "visibilityTimeout": "00:00:10", "unknown": 1}
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    override = {"AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "9"}

    extensions = read_host_file(tmp_path, override).extensions

    assert extensions.queues.batch_size == 8
    assert extensions.queues.visibility_timeout == timedelta(seconds=10)
    assert extensions.queues.max_dequeue_count == 9
    assert extensions.queues.max_polling_interval == timedelta(minutes=1)
    assert extensions.event_hubs.max_event_batch_size == 100
    assert extensions.http.route_prefix == "api"


def test_time_spans_may_have_days_and_fractions() -> None:
    assert TimeSpan.parse("1.02:03:04.5") == timedelta(days=1, hours=2, minutes=3, seconds=4.5)
    with pytest.raises(ValueError, match="time span"):
        TimeSpan.parse("10 minutes")


def test_a_connection_is_a_string_or_an_identity() -> None:
    assert connection({"Fleet": "text"}, "Fleet").text == "text"
    assert connection({"AzureWebJobsFleet": "text"}, "Fleet").text == "text"
    by_identity = connection({"Fleet__queueServiceUri": "https://q", "Fleet__credential": "managedidentity"}, "Fleet")
    assert (by_identity.text, by_identity.properties["queueServiceUri"]) == (None, "https://q")
    assert "devstoreaccount1" in (connection({"Fleet": "UseDevelopmentStorage=true"}, "Fleet").text or "")
    with pytest.raises(ConfigurationError, match="Fleet"):
        connection({"Other": "text"}, "Fleet")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"x", "bytes"),
        ("x", "string"),
        (1.5, "double"),
        (1, "json"),
        ({"a": 1}, "json"),
        ([b"x"], "collection_bytes"),
        (["x"], "collection_string"),
        ([1], "collection_sint64"),
        ([{}], "json"),
        ([], "json"),
    ],
)
def test_values_travel_as_azures_host_types_them(value: Any, kind: str) -> None:
    assert to_datum(value).type == kind


def test_empty_strings_are_dropped_from_a_list_and_empty_bytes_are_kept() -> None:
    assert to_datum(["a", ""]).python_value == ["a"]
    assert to_datum([b"a", b""]).python_value == [b"a", b""]


def test_metadata_without_a_value_is_left_out() -> None:
    assert set(metadata_datums({"a": 1, "b": None})) == {"a"}


def test_http_header_names_are_lower_case_and_empty_query_values_dropped() -> None:
    datum = http_datum(method="GET", url="/", headers={"X-A": "1"}, query={"a": "", "b": "2"}, params={}, body=b"")

    assert set(datum.value["headers"]) == {"x-a"}
    assert set(datum.value["query"]) == {"b"}


def test_an_exponential_retry_grows_within_its_bounds_for_ever() -> None:
    policy = RetryPolicy(False, -1, timedelta(seconds=2), timedelta(minutes=5))

    delays = [policy.delay(retries) for retries in range(2000)]

    assert policy.allows(10_000)
    assert all(timedelta(seconds=2) <= delay <= timedelta(minutes=5) for delay in delays)
    assert delays[3] > delays[0]
    assert delays[-1] == timedelta(minutes=5)


def test_a_fixed_retry_ends_after_its_count() -> None:
    policy = RetryPolicy(True, 2, timedelta(seconds=1), timedelta(seconds=1))

    assert [policy.allows(retries) for retries in range(3)] == [True, True, False]
    assert policy.delay(1) == timedelta(seconds=1)


def test_an_empty_queue_is_looked_at_less_and_less_often() -> None:
    backoff = Backoff(timedelta(seconds=1))
    waits = [backoff.wait().total_seconds() for _ in range(6)]
    backoff.reset()

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.wait().total_seconds() == 0.1


def test_message_encoding_is_as_the_host_file_says() -> None:
    assert decode_message("aGk=", "base64") == b"hi"
    assert decode_message("hi there", "base64") is None
    assert decode_message("hi there", "none") == b"hi there"
