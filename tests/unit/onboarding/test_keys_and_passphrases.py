"""Keys that are encrypted, and where their passphrases come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from fleetcert.certificates import is_encrypted, pem_private_key
from fleetcert.onboarding.keys import authority_key, read_key
from fleetcert.onboarding.passphrases import read_passphrase
from fleetcert.onboarding.workspace import Workspace
from shared.errors import NotPossible

KEY = authority_key("p256")


def nobody(text: str) -> str:
    pytest.fail(f"asked for {text}")


def written(folder: Path, pem: bytes) -> Path:
    path = folder / "a.key"
    path.write_bytes(pem)
    return path


def test_a_key_that_is_encrypted_opens_with_its_passphrase_alone(tmp_path: Path):
    path = written(tmp_path, pem_private_key(KEY, b"secret"))
    assert is_encrypted(path.read_bytes())
    assert read_key(path, b"secret").public_key() == KEY.public_key()
    with pytest.raises(NotPossible, match="is encrypted: say where its passphrase is"):
        read_key(path)
    with pytest.raises(NotPossible, match="cannot be opened with this passphrase"):
        read_key(path, b"wrong")


def test_a_passphrase_that_is_not_needed_is_not_used(tmp_path: Path):
    assert read_key(written(tmp_path, pem_private_key(KEY)), b"any").public_key() == KEY.public_key()


def test_openssls_older_forms_are_read(tmp_path: Path):
    older = serialization.PrivateFormat.TraditionalOpenSSL
    encryption = serialization.BestAvailableEncryption(b"secret")
    path = written(tmp_path, KEY.private_bytes(serialization.Encoding.PEM, older, encryption))
    assert read_key(path, b"secret").public_key() == KEY.public_key()


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"hello", "holds no private key"),
        (
            ed25519.Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "neither EC nor RSA",
        ),
    ],
    ids=["no key", "a key that DPS does not take"],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, pem: bytes, why: str):
    with pytest.raises(NotPossible, match=why):
        read_key(written(tmp_path, pem))


def test_a_key_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(NotPossible, match="cannot be read: No such file"):
        read_key(tmp_path / "nowhere.key")


def test_a_passphrase_comes_from_a_prompt_a_file_or_the_environment(tmp_path: Path):
    file = tmp_path / "passphrase"
    file.write_text("from a file\nand no more\n")
    asked: list[str] = []

    def prompt(text: str) -> str:
        asked.append(text)
        return "from a person"

    assert read_passphrase("prompt", "the root's key", {}, prompt) == b"from a person"
    assert asked == ["Passphrase of the root's key"]
    assert read_passphrase(f"file:{file}", "x", {}, nobody) == b"from a file"
    assert read_passphrase("env:ROOT", "x", {"ROOT": "from the environment"}, nobody) == b"from the environment"


@pytest.mark.parametrize("source", ["hunter2", "pass:hunter2", "env:", "file:", "prompt:hunter2", ""])
def test_a_passphrase_on_the_command_line_is_refused_and_not_repeated(source: str):
    with pytest.raises(NotPossible, match="never itself") as refused:
        read_passphrase(source, "the root's key", {}, nobody)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "\nsecond line"])
def test_a_passphrase_is_never_empty(tmp_path: Path, content: str):
    file = tmp_path / "passphrase"
    file.write_text(content)
    for source in (f"file:{file}", "env:UNSET"):
        with pytest.raises(NotPossible, match="is empty"):
            read_passphrase(source, "the root's key", {}, nobody)


def test_a_passphrase_file_that_is_missing_is_told():
    with pytest.raises(NotPossible, match="cannot be read"):
        read_passphrase("file:/nowhere/at/all", "x", {}, nobody)


def test_two_runs_in_one_folder_do_not_mix(tmp_path: Path):
    first, second = Workspace(tmp_path / "certs"), Workspace(tmp_path / "certs")
    with first.locked(), pytest.raises(NotPossible, match="another fleetcert works in"), second.locked():
        pytest.fail("both are in")
    with second.locked():
        pass
