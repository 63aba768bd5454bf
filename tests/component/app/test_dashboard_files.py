"""The dashboard's page and files, and who asks, as Microsoft's runtime and the local host serve them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.access import Role


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("dashboard", "text/html; charset=utf-8"),
        ("dashboard/app.js", "text/javascript; charset=utf-8"),
        ("dashboard/chart.umd.min.js", "text/javascript; charset=utf-8"),
        ("dashboard/base.css", "text/css; charset=utf-8"),
        ("dashboard/icon.svg", "image/svg+xml"),
    ],
)
async def test_a_file_comes_with_its_kind_its_version_and_its_policy(served: Any, path: str, media_type: str):
    answer = await served.ask("GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-cache"
    again = await served.ask("GET", path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = await served.ask("HEAD", path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])


@pytest.mark.parametrize(
    "path",
    [
        "dashboard/nothing.js",
        "dashboard/models.d.ts",
        "dashboard/..%2fstatic_files.py",
        "dashboard/..%2f..%2fhost.json",
        "dashboard/%2e%2e%2f%2e%2e%2fhost.json",
        "dashboard/..%5c..%5chost.json",
        "dashboard/../host.json",
        "dashboard//etc/passwd",
        "dashboard/app.js%00",
        "dashboard/static/app.js",
    ],
)
async def test_nothing_else_is_reached_through_the_dashboard(served: Any, path: str):
    answer = await served.ask("GET", path)
    assert answer.status_code in (400, 404)
    assert "extensionBundle" not in answer.text


async def test_the_page_is_there_whatever_the_settings_are(fleet_app: Any, environment: dict[str, str]):
    del environment["IOT_EVENTS"]
    assert (await fleet_app.call("dashboard")).status == 200
    assert (await fleet_app.call("who_am_i")).problem == "settings"


async def test_a_caller_is_told_who_they_are_and_which_of_the_apis_roles_they_have(served: Any):
    answer = await served.ask("GET", "me", served.token("Devices.Contain", "Fleet.Read", "Somebody.Elses"))
    assert answer.json() == {
        "name": "ann",
        "objectId": "o-1",
        "appId": "a-1",
        "roles": [Role.READ, Role.CONTAIN],
        "revocation": False,
    }
    assert answer.headers["cache-control"] == "no-store"
