"""The part of the query language that the local IoT Hub understands."""

from __future__ import annotations

import pytest

from fleetcert.local.iothub.errors import HubError
from fleetcert.local.iothub.query import Query

TWIN = {
    "deviceId": "dev-1",
    "status": "enabled",
    "tags": {"site": "Köln's", "row": 3, "live": True},
    "properties": {"reported": {"certificate": {"issuer": "CN=x"}}},
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", True),
        ("WHERE deviceId = 'dev-1'", True),
        ("where deviceId='dev-2'", False),
        ("WHERE status = 'enabled' AND tags.row = 3", True),
        ("WHERE status = 'enabled' and tags.row = 4", False),
        ("WHERE tags.site = 'Köln''s'", True),
        ("WHERE tags.live = true", True),
        ("WHERE tags.live = 1", False),
        ("WHERE tags.missing = 'x'", False),
        ("WHERE tags.site.deeper = 'x'", False),
        ("WHERE properties.reported.certificate.issuer = 'CN=x'", True),
        ('WHERE deviceId = "dev-1"', True),
    ],
)
def test_a_conjunction_of_equalities_selects_twins(where: str, expected: bool) -> None:
    assert Query.parse(f"SELECT * FROM devices {where}").matches(TWIN) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT deviceId FROM devices",
        "SELECT * FROM devices.modules",
        "SELECT * FROM devices WHERE",
        "SELECT * FROM devices WHERE tags.x > 3",
        "SELECT * FROM devices WHERE tags.x = 3 OR tags.x = 4",
        "SELECT * FROM devices WHERE tags.x = 3 AND",
        "SELECT * FROM devices WHERE tags.x = 3 ANDtags.y = 4",
        "SELECT * FROM devices WHERE secrets = 'x'",
        "SELECT * FROM devices WHERE deviceId = 'dev-1",
    ],
)
def test_anything_else_is_refused_and_not_misread(text: str) -> None:
    with pytest.raises(HubError, match=r"400000.*understands a part"):
        Query.parse(text)
