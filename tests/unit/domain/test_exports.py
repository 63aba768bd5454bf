"""A CSV that every reader reads alike and no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.exports import COLUMNS, csv_of, header
from shared.domain.listing import DeviceLine


def line(**changes: Any) -> DeviceLine:
    values = dict.fromkeys(("enrollment_group", "valid_from", "valid_until", "thumbprint", "evidence", "issuer"))
    known = {"device_id": "d", "registration_id": "d", "state": "valid", "reason": "", "hub": "h", "tags": {}}
    return DeviceLine(**{**values, **known, "authority_key_id": None, **changes})


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(header() + text, newline="")))


def test_a_file_has_a_line_for_each_device_and_one_for_the_names():
    rows = read(csv_of([line(tags={"site": "bern"}, valid_until="2026-12-01T08:00:00Z"), line(device_id="e")]))
    assert [row["deviceId"] for row in rows] == ["d", "e"]
    assert (rows[0]["validUntil"], json.loads(rows[0]["tags"])) == ("2026-12-01T08:00:00Z", {"site": "bern"})
    assert (rows[1]["validUntil"], rows[1]["tags"]) == ("", "")
    assert tuple(rows[0]) == COLUMNS
    assert csv_of([line()]).endswith("\r\n")


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(start: str):
    [row] = read(csv_of([line(device_id=f"{start}1+1", hub=f"a{start}")]))
    assert (row["deviceId"], row["hub"]) == (f"'{start}1+1", f"a{start}")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.tuples(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=2)), max_size=5))
def test_whatever_stands_in_a_cell_is_read_back_and_nothing_is_run(devices: list[tuple[str, str, dict[str, str]]]):
    lines = [line(device_id=d, reason=r, tags=t) for d, r, t in devices]
    rows = read(csv_of(lines))
    assert len(rows) == len(devices)
    for row, (device_id, reason, tags) in zip(rows, devices, strict=True):
        assert row["deviceId"].removeprefix("'") == device_id.removeprefix("'")
        assert row["reason"].removeprefix("'") == reason.removeprefix("'")
        assert json.loads(row["tags"] or "{}") == tags
        assert not any(cell.startswith(tuple("=+-@\t\r\n")) for cell in row.values())
