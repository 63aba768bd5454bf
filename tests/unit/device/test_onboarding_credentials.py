"""What opens DPS for a device: a certificate's key, encrypted or not, or a symmetric key."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetcert.certificates import pem_private_key, read_private_key
from fleetcert.device.credential import OnboardingCredential, SymmetricKeyCredential
from fleetcert.local.symmetric_keys import DeviceToken, SymmetricKeys

KEY = bytes(range(32))
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def encrypted(bootstrap: OnboardingCredential, tmp_path: Path) -> Path:
    key = read_private_key(bootstrap.key_file.read_bytes())
    file = tmp_path / "device.key"
    file.write_bytes(pem_private_key(key, b"secret"))
    return file


def test_an_encrypted_key_opens_with_its_passphrase_alone(bootstrap: OnboardingCredential, encrypted: Path) -> None:
    credential = OnboardingCredential.load(bootstrap.certificate_file, encrypted, b"secret")
    credential.present(ssl.create_default_context())
    assert "secret" not in repr(credential)
    for passphrase in (None, b"wrong"):
        with pytest.raises(ValueError, match=r".+"):
            OnboardingCredential.load(bootstrap.certificate_file, encrypted, passphrase)


def test_a_key_that_needs_no_passphrase_is_not_bothered_by_one(bootstrap: OnboardingCredential) -> None:
    OnboardingCredential.load(bootstrap.certificate_file, bootstrap.key_file, b"secret").present(
        ssl.create_default_context()
    )


def test_a_token_of_a_symmetric_key_is_what_dps_expects() -> None:
    credential = SymmetricKeyCredential.from_base64(base64.b64encode(KEY).decode() + "\n")
    token = DeviceToken.parse(credential.token("0ne1/registrations/dev-1", NOW + timedelta(hours=1)) or "")
    assert token.is_for("0ne1/registrations/dev-1", NOW)
    assert not token.is_for("0ne1/registrations/dev-1", NOW + timedelta(hours=2))
    assert token.is_signed_with(SymmetricKeys(KEY, KEY))
    assert not token.is_signed_with(SymmetricKeys(bytes(32), bytes(32)))
    assert base64.b64encode(KEY).decode() not in repr(credential)


@pytest.mark.parametrize("text", ["", "short", "no base64!", base64.b64encode(bytes(65)).decode()])
def test_a_symmetric_key_that_dps_would_not_take_is_refused_on_the_device(text: str) -> None:
    with pytest.raises(ValueError, match="symmetric key"):
        SymmetricKeyCredential.from_base64(text)
