"""What devices and CAs may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.certificates import common_name_of
from fleetcert.local.dps.enrollments import IDENTIFIER
from fleetcert.onboarding.issuing import certify_device, intermediate_name, make_root, root_name
from fleetcert.onboarding.keys import authority_key, device_key
from fleetcert.onboarding.names import check_authority_name, check_registration_id, is_host_name
from shared.errors import NotPossible

LETTERS = st.text(st.sampled_from("abcXYZ019._:- é\n"), max_size=140)
AUTHORITY = make_root("any", authority_key("p256"))
KEY = device_key("p256").public_key()


@given(LETTERS)
def test_an_id_is_taken_exactly_where_dps_takes_it(text: str):
    try:
        taken = check_registration_id(text, for_certificate=False) == text
    except NotPossible:
        taken = False
    assert taken == bool(IDENTIFIER.fullmatch(text))


@given(st.from_regex(r"[a-zA-Z0-9._:-]{0,63}[a-zA-Z0-9-]", fullmatch=True))
def test_whatever_id_fits_into_a_certificate_is_its_common_name(text: str):
    assert common_name_of(certify_device(AUTHORITY, text, KEY).subject) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("a" * 65, "65 characters, and 64 is what a certificate's common name holds"),
        ("a b", "more than letters, digits"),
        ("../../etc/passwd", "more than letters, digits"),
        ("..", "has to end with"),
        ("dev.", "has to end with"),
        ("dev_", "has to end with"),
        ("dévice", "more than letters, digits"),
        ("dev\n", "more than letters, digits"),
    ],
)
def test_an_id_that_is_not_taken_is_told_why(text: str, why: str):
    with pytest.raises(NotPossible, match=why):
        check_registration_id(text)


@pytest.mark.parametrize("text", ["my-device", "a.b.example", "7b", "x" * 63])
def test_a_host_name_may_be_an_alternative_name(text: str):
    assert is_host_name(text)


@pytest.mark.parametrize("text", ["a_b", "a:b", "x" * 64, "a..b", ".a", "a-", "-a", "10.0.0.1", "42"])
def test_what_is_no_host_name_may_not(text: str):
    assert not is_host_name(text)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65, "é"])
def test_a_ca_is_called_as_azure_takes_it(name: str):
    with pytest.raises(NotPossible, match="a CA is called by"):
        check_authority_name(name)


def test_a_hierarchys_name_leaves_room_for_its_parts():
    assert root_name("x" * 51) == "x" * 51 + "-root"
    with pytest.raises(NotPossible, match="a CA is called by 1 to 64"):
        intermediate_name("x" * 52)
