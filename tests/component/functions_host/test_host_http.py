"""HTTP triggers, their keys and the host's own endpoints."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


def test_a_request_reaches_the_function_as_azures_host_sends_it(http: httpx.Client) -> None:
    answer = http.post("/api/echo/Ada?x=1&x=2&empty=", content=b"hello", headers={"X-Thing": "A"})

    assert answer.status_code == 203
    assert answer.headers["x-sample"] == "1"
    seen = answer.json()
    assert seen["method"] == "POST"
    assert seen["name"] == "Ada"
    assert seen["body"] == "hello"
    assert seen["query"] == {"x": "1,2"}
    assert seen["headers"]["x-thing"] == "A"
    assert seen["url"].endswith("/api/echo/Ada?x=1&x=2&empty=")


def test_an_optional_route_parameter_may_be_left_out(http: httpx.Client) -> None:
    assert http.get("/api/echo").json()["name"] is None


def test_app_settings_come_from_the_file_unless_the_environment_has_them(http: httpx.Client) -> None:
    assert http.get("/api/echo").json()["settings"] == {"COLOUR": "from the file", "WEBSITE_AUTH_ENABLED": "True"}


@pytest.mark.parametrize("path", ["/api/echo/42", "/api/nothing", "/echo", "/api/devices/a/b"])
def test_a_path_without_a_route_is_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_a_method_that_the_trigger_does_not_list_is_not_found(http: httpx.Client) -> None:
    assert http.delete("/api/echo/Ada").status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_trigger_that_lists_no_method_gets_them_all(http: httpx.Client, method: str) -> None:
    assert http.request(method, "/api/devices/d1").text == f"{method} d1"


def test_a_literal_route_wins_over_a_parameter(http: httpx.Client) -> None:
    assert http.get("/api/devices/known").text == "the literal route"


def test_route_parameters_are_decoded_once_and_keep_an_encoded_slash(http: httpx.Client) -> None:
    assert http.get("/api/devices/a%23b%2525c%2Fd").text == "GET a#b%25c%2Fd"


def test_a_catch_all_route_takes_the_rest_of_the_path(http: httpx.Client) -> None:
    assert http.get("/api/files/a/b/c.txt").text == "a/b/c.txt"


def test_an_exception_is_a_500_without_its_text(http: httpx.Client) -> None:
    answer = http.get("/api/fails")

    assert answer.status_code == 500
    assert answer.text == ""


def test_cookies_of_a_response_are_set(http: httpx.Client) -> None:
    assert http.get("/api/cookies").headers["set-cookie"] == "a=b; HttpOnly; Path=/"


def test_auth_level_function_needs_a_key(http: httpx.Client, sample_host: Any) -> None:
    assert http.get("/api/keyed").status_code == 401
    assert http.get("/api/keyed", headers={"x-functions-key": "wrong"}).status_code == 401
    assert http.get("/api/keyed", headers={"x-functions-key": sample_host.keys["function"]}).text == "opened"
    assert http.get("/api/keyed", params={"code": sample_host.keys["master"]}).text == "opened"


def test_auth_level_admin_needs_the_master_key(http: httpx.Client, sample_host: Any) -> None:
    assert http.get("/api/for-the-master", params={"code": sample_host.keys["function"]}).status_code == 401
    assert http.get("/api/for-the-master", params={"code": sample_host.keys["master"]}).text == "opened"


def test_the_key_file_is_for_its_owner_only(sample_host: Any) -> None:
    assert (sample_host.journal.parent / "keys.json").stat().st_mode & 0o077 == 0


def test_the_status_names_the_functions_in_error_and_the_others_run(http: httpx.Client) -> None:
    status = http.get("/admin/host/status").json()

    assert status["state"] == "Running"
    assert "echo" in status["functions"]
    assert status["errors"] == ["in_error: '%NOT_SET%' does not resolve to a value: set NOT_SET"]


def test_a_log_line_of_user_code_says_function_and_invocation(http: httpx.Client, sample_host: Any) -> None:
    http.get("/api/logs")

    line = next(line for line in sample_host.log().splitlines() if "a line of user code" in line)
    label = line.partition("[")[2].partition("]")[0]
    function, invocation = label.split()
    assert function == "logs"
    assert len(invocation) == 36


def test_the_key_is_not_in_the_log(sample_host: Any) -> None:
    assert not any(key in sample_host.log() for key in sample_host.keys.values())
