"""Twins: the laws of merging, what a section may hold, versions and metadata."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcert.local.iothub import twin_rules
from fleetcert.local.iothub.errors import HubError
from fleetcert.local.iothub.merge import difference, merged, stamped
from fleetcert.local.iothub.twin import Twin

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)

KEYS = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.integers(-5, 5) | st.booleans() | st.text(max_size=3)
DOCUMENTS = st.recursive(st.dictionaries(KEYS, LEAVES), lambda d: st.dictionaries(KEYS, LEAVES | d), max_leaves=12)
PATCHES = st.recursive(
    st.dictionaries(KEYS, LEAVES | st.none()), lambda p: st.dictionaries(KEYS, LEAVES | st.none() | p), max_leaves=12
)


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else 1


def has_null(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and any(map(has_null, value.values())))


@settings(max_examples=40)
@given(DOCUMENTS, PATCHES)
def test_a_merged_document_holds_no_null(document: dict[str, Any], patch: dict[str, Any]) -> None:
    assert not has_null(merged(document, patch))


@settings(max_examples=40)
@given(DOCUMENTS, PATCHES)
def test_merging_a_patch_twice_changes_nothing_more(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merged(document, patch)
    assert merged(once, patch) == once


@settings(max_examples=40)
@given(DOCUMENTS, PATCHES)
def test_merging_leaves_its_arguments_alone(document: dict[str, Any], patch: dict[str, Any]) -> None:
    before = repr((document, patch))
    merged(document, patch)
    assert repr((document, patch)) == before


@settings(max_examples=40)
@given(DOCUMENTS)
def test_the_empty_patch_changes_nothing(document: dict[str, Any]) -> None:
    assert merged(document, {}) == document


@settings(max_examples=40)
@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_leads_from_one_document_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert repr_sorted(merged(old, difference(old, new))) == repr_sorted(new)


@settings(max_examples=40)
@given(DOCUMENTS)
def test_there_is_no_difference_to_oneself(document: dict[str, Any]) -> None:
    assert difference(document, document) == {}


@settings(max_examples=40)
@given(DOCUMENTS, PATCHES)
def test_metadata_has_the_shape_of_the_values(document: dict[str, Any], patch: dict[str, Any]) -> None:
    first = stamped({}, document, {"$lastUpdated": "1"})
    second = stamped(first, patch, {"$lastUpdated": "2"})
    assert shape(second) == shape(merged(document, patch))


def shape(value: Any) -> Any:
    """The keys of a document, without values; a scalar is as empty as its metadata."""
    if not isinstance(value, dict):
        return {}
    return {key: shape(member) for key, member in sorted(value.items()) if not key.startswith("$")}


def repr_sorted(value: Any) -> str:
    """Tells True from 1, which `==` does not."""
    if isinstance(value, dict):
        return str([(key, repr_sorted(member)) for key, member in sorted(value.items())])
    return repr(value)


def test_a_report_counts_the_twin_and_the_reported_properties_and_keeps_the_etag() -> None:
    twin = Twin()
    change = twin.report({"certificate": {"validUntil": "x", "pem": None}}, NOON)
    stamp = {"$lastUpdated": "2026-11-23T12:00:00.0000000Z"}
    assert change == {
        "version": 3,
        "properties": {
            "reported": {
                "certificate": {"validUntil": "x", "pem": None},
                "$metadata": {**stamp, "certificate": {**stamp, "validUntil": stamp}},
                "$version": 2,
            }
        },
    }
    assert twin.reported.values == {"certificate": {"validUntil": "x"}}
    assert (twin.etag, twin.version) == ("AAAAAAAAAAE=", 3)


def test_desired_metadata_also_says_the_version_of_each_value() -> None:
    twin = Twin()
    twin.update({"properties": {"desired": {"a": 1}}}, NOON)
    twin.update({"properties": {"desired": {"b": 2}}}, LATER)
    assert twin.desired.metadata["a"]["$lastUpdatedVersion"] == 2
    assert twin.desired.metadata["b"]["$lastUpdatedVersion"] == 3
    assert twin.desired.metadata["$lastUpdatedVersion"] == 3
    assert (twin.etag, twin.version) == ("AAAAAAAAAAM=", 4)


def test_replacing_removes_what_is_not_given() -> None:
    twin = Twin()
    twin.update({"tags": {"site": "a", "row": 1}, "properties": {"desired": {"a": 1, "b": 1}}}, NOON)
    patch = twin.replace({"tags": {"site": "b"}, "properties": {"desired": {"b": 1, "$version": 9}}}, LATER)
    assert patch == {"a": None}
    assert twin.tags == {"site": "b"}
    assert twin.desired.values == {"b": 1}


@pytest.mark.parametrize(
    "section",
    [
        pytest.param({"a.b": 1}, id="a dot in a name"),
        pytest.param({"$x": 1}, id="a dollar in a name"),
        pytest.param({"a b": 1}, id="a space in a name"),
        pytest.param({"a\x07": 1}, id="a control character in a name"),
        pytest.param({"n" * 1025: 1}, id="a name of over 1 KB"),
        pytest.param({"a": "x" * 4097}, id="a string of over 4 KB"),
        pytest.param({"a": ["x" * 4097]}, id="a string of over 4 KB in an array"),
        pytest.param({"a": 4503599627370496}, id="an integer out of range"),
        pytest.param(nested(11), id="11 objects deep"),
        pytest.param("text", id="no object"),
    ],
)
def test_what_a_section_may_not_hold_is_400004_and_changes_nothing(section: Any) -> None:
    twin = Twin()
    with pytest.raises(HubError, match="400004"):
        twin.report(section, NOON)
    with pytest.raises(HubError, match="400004"):
        twin.update({"tags": {"fine": 1}, "properties": {"desired": section}}, NOON)
    assert (twin.tags, twin.reported.values, twin.version) == ({}, {}, 2)


def test_ten_objects_deep_is_allowed() -> None:
    Twin().report(nested(10), NOON)


def test_a_section_above_its_limit_is_403100_and_changes_nothing() -> None:
    twin = Twin()
    for index in range(8):
        twin.report({f"k{index}": "x" * 4000}, NOON)
    with pytest.raises(HubError, match=r"403100.*'Properties.Reported' size should be less than 32768 bytes"):
        twin.report({"k8": "x" * 4000}, NOON)
    assert "k8" not in twin.reported.values
    twin.report({"k0": None, "k8": "x" * 4000}, NOON)


def test_tags_have_a_limit_of_their_own() -> None:
    with pytest.raises(HubError, match="'Tags' size should be less than 8192 bytes"):
        Twin().update({"tags": {"a": "x" * 4096, "b": "x" * 4096}}, NOON)


def test_sizes_are_counted_as_documented() -> None:
    assert twin_rules.size_of({"n": 1, "b": True, "s": "é\x07", "o": {"k": [1.5, "xy"]}}) == 1 + 8 + 1 + 4 + 1 + 2 + (
        1 + 1 + 8 + 2
    )
