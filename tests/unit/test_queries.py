"""Queries that fit are read; what is unknown, doubled or of another form is refused with its name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.listing import Filter
from shared.domain.record import State
from shared.schemas.queries import DeviceQuery, NoQuery, PageQuery, read_query
from shared.schemas.requests import Malformed

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def read(query: str) -> DeviceQuery:
    return read_query(f"https://app.example/api/devices?{query}", DeviceQuery)


def test_a_query_without_anything_is_the_first_page_of_everything():
    assert (read("").limit, read("").filter) == (100, Filter())


def test_a_query_is_read_into_a_filter():
    query = read(
        "limit=7&state=due,overdue&expiresBefore=2026-11-23T13:00:00%2B01:00&expiresAfter=2026-11-22T12:00:00Z"
        "&issuer=CN%3Dpolicy&tag=site%3Da%3Db&text=pump+42"
    )
    assert query.limit == 7
    assert query.filter == Filter(
        expires_before=NOON,
        expires_after=NOON - timedelta(days=1),
        states=frozenset({State.DUE, State.OVERDUE}),
        issuer="CN=policy",
        tag=("site", "a=b"),
        text="pump 42",
    )


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1e2", "limit"),
        ("limit=007", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=1&limit=2", "limit"),
        ("state=", "state"),
        ("state=due,", "state"),
        ("state=lost", "state"),
        ("expiresBefore=5", "expiresBefore"),
        ("expiresBefore=2026-11-23", "expiresBefore"),
        ("expiresBefore=2026-11-23T12:00:00", "expiresBefore"),
        ("tag=site", "tag"),
        ("tag==bern", "tag"),
        ("text=", "text"),
        ("cursor=", "cursor"),
        ("stat=due", "stat"),
        ("expires_before=2026-11-23T12:00:00Z", "expires_before"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_and_named(query: str, name: str):
    with pytest.raises(Malformed, match=name):
        read(query)


@pytest.mark.parametrize("query", ["a" * 3 + "=1", "&".join(f"p{n}=1" for n in range(40)), "text=%ff", "%ff=1"])
def test_a_query_that_cannot_be_read_is_malformed(query: str):
    with pytest.raises(Malformed):
        read_query(f"https://app.example/x?{query}", NoQuery)


@given(st.text())
def test_any_query_is_a_page_or_malformed(query: str):
    try:
        assert 1 <= read_query(f"https://app.example/x?{query}", PageQuery).limit <= 500
    except Malformed:
        return
