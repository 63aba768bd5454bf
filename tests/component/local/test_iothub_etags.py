"""The table of conditions on identities, and the form of ETags."""

from __future__ import annotations

import pytest

from fleetcert.local.iothub.errors import HubError
from fleetcert.local.iothub.etags import Preconditions, identity_etag, twin_etag

NOBODY, CURRENT = None, "MQ=="


def outcome_of_put(conditions: Preconditions, current: str | None) -> int:
    try:
        conditions.check_put("dev-1", current)
    except HubError as error:
        return error.code
    return 200


def outcome_of_delete(conditions: Preconditions, current: str | None) -> int:
    try:
        conditions.check_existing("dev-1", current)
    except HubError as error:
        return error.code
    return 204


@pytest.mark.parametrize(
    ("headers", "not_there", "there"),
    [
        ({}, 200, 409001),
        ({"If-Match": '""'}, 200, 409001),
        ({"If-Match": "*"}, 412001, 200),
        ({"If-Match": '"*"'}, 412001, 200),
        ({"If-Match": '"MQ=="'}, 412001, 200),
        ({"If-Match": 'W/"MQ=="'}, 412001, 200),
        ({"If-Match": '"xyz"'}, 412001, 412001),
        ({"If-None-Match": "*"}, 200, 412001),
    ],
)
def test_the_table_of_put(headers: dict[str, str], not_there: int, there: int) -> None:
    conditions = Preconditions.of(headers)
    assert (outcome_of_put(conditions, NOBODY), outcome_of_put(conditions, CURRENT)) == (not_there, there)


@pytest.mark.parametrize(
    ("headers", "not_there", "there"),
    [
        ({}, 404001, 204),
        ({"If-Match": '""'}, 404001, 204),
        ({"If-Match": "*"}, 404001, 204),
        ({"If-Match": '"MQ=="'}, 404001, 204),
        ({"If-Match": '"xyz"'}, 404001, 412001),
    ],
)
def test_the_table_of_delete(headers: dict[str, str], not_there: int, there: int) -> None:
    conditions = Preconditions.of(headers)
    assert (outcome_of_delete(conditions, NOBODY), outcome_of_delete(conditions, CURRENT)) == (not_there, there)


def test_etags_look_as_on_real_hubs() -> None:
    assert identity_etag(1) == "MQ=="
    assert twin_etag(1) == "AAAAAAAAAAE="
