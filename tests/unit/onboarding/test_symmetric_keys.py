"""Derived keys, and the one file that they go to."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.onboarding import FakeEnrollments, outcomes

from fleetcert.local.symmetric_keys import SymmetricKeys
from fleetcert.onboarding.attestations import BySymmetricKey
from fleetcert.onboarding.enrollment_steps import EnrollmentStep
from fleetcert.onboarding.symmetric_keys import derive_key, primary_key, write_keys
from fleetcert.onboarding.terms import Terms
from shared.errors import NotFound, NotPossible


@given(st.binary(min_size=16, max_size=64), st.from_regex(r"[a-zA-Z0-9._:-]{0,63}[a-zA-Z0-9-]", fullmatch=True))
def test_a_derived_key_is_the_one_that_dps_expects(key: bytes, registration_id: str):
    derived = derive_key(base64.b64encode(key).decode(), registration_id)
    assert derived == base64.b64encode(hmac.new(key, registration_id.encode(), hashlib.sha256).digest()).decode()
    assert base64.b64decode(derived) == SymmetricKeys(key, key).derived_for(registration_id).primary


def test_a_key_that_is_no_base64_is_refused_and_not_repeated():
    with pytest.raises(NotPossible, match="no base64") as refused:
        derive_key("se-cret", "dev-1")
    assert "se-cret" not in str(refused.value)


async def test_a_groups_key_is_read_where_it_attests_by_keys():
    service = FakeEnrollments()
    step = EnrollmentStep(service, "enrollmentGroups", "fleet", BySymmetricKey(), Terms(policy=None))
    with pytest.raises(NotFound):
        await primary_key(service, "enrollmentGroups", "fleet")
    await outcomes(step)
    key = await primary_key(service, "enrollmentGroups", "fleet")
    assert key == service.keys["enrollmentGroups", "fleet"]["symmetricKey"]["primaryKey"]
    service.documents["enrollmentGroups", "fleet"]["attestation"] = {"type": "x509"}
    with pytest.raises(NotPossible, match="does not attest by symmetric keys"):
        await primary_key(service, "enrollmentGroups", "fleet")


def test_keys_go_to_a_file_of_their_owner_and_replace_none(tmp_path: Path):
    path = tmp_path / "keys.csv"
    write_keys(path, [("dev-1", "a2V5"), ("dev-2", "a2V6")])
    assert path.read_text() == "registrationId,primaryKey\ndev-1,a2V5\ndev-2,a2V6\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(NotPossible, match="is replaced only by --force"):
        write_keys(path, [])
    write_keys(path, [], force=True)
    assert path.read_text() == "registrationId,primaryKey\n"
