"""Who may read a key, and what a passphrase does."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetcert.certificates import CertificateAuthority
from fleetcert.device.csr import KeyKind
from fleetcert.device.errors import KeyStoreLocked
from fleetcert.device.keystore import FileKeyStore
from fleetcert.device.options import AgentOptions
from fleetcert.device.store import DeviceStore

SECRET = b"correct horse"


def test_keys_are_for_their_owner_alone(bench: Any) -> None:
    previous = os.umask(0)
    try:
        bench.directory = bench.directory.with_name("open-to-all")
        bench.restart()
        bench.bring_up()
    finally:
        os.umask(previous)
    assert bench.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in bench.directory.iterdir()} == {0o600}


def test_a_file_left_aside_does_not_lend_its_mode(bench: Any) -> None:
    left_behind = bench.directory / ".state.json.new"
    left_behind.write_bytes(b"half")
    left_behind.chmod(0o644)
    bench.store.hear("c")
    assert (bench.directory / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (KeyKind.P384, (ec.EllipticCurvePublicKey, 384)),
        (KeyKind.P256, (ec.EllipticCurvePublicKey, 256)),
        (KeyKind.RSA, (rsa.RSAPublicKey, 3072)),
    ],
)
def test_a_device_lives_with_keys_of_every_kind(bench: Any, kind: KeyKind, expected: tuple[type, int]) -> None:
    bench.restart(AgentOptions(key_kind=kind))
    key = bench.bring_up().leaf.public_key()
    assert isinstance(key, expected[0])
    assert key.key_size == expected[1]


@pytest.mark.parametrize("kind", KeyKind)
def test_with_a_passphrase_keys_are_encrypted_and_still_open_tls(bench: Any, kind: KeyKind) -> None:
    bench.passphrase = SECRET
    bench.restart(AgentOptions(key_kind=kind))
    current = bench.bring_up()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in bench.key_files()[0].read_bytes()
    current.present(ssl.create_default_context())
    bench.restart()
    assert bench.store.current == current


@pytest.mark.parametrize("passphrase", [None, b"wrong"])
def test_a_wrong_passphrase_is_a_persons_mistake_and_costs_no_key(bench: Any, passphrase: bytes | None) -> None:
    bench.passphrase = SECRET
    bench.restart()
    current, files = bench.bring_up(), bench.key_files()
    bench.agent.close()
    with pytest.raises(KeyStoreLocked, match="passphrase"):
        DeviceStore(bench.directory, FileKeyStore(bench.directory, passphrase))
    assert bench.key_files() == files
    bench.restart()
    assert bench.store.current == current


def test_a_key_that_was_written_without_the_passphrase_serves_until_it_is_replaced(bench: Any) -> None:
    current = bench.bring_up()
    bench.passphrase = SECRET
    bench.restart()
    assert bench.store.current == current
    bench.settle()
    bench.send()
    bench.settle()
    assert b"BEGIN ENCRYPTED" in bench.key_files()[0].read_bytes()


def test_a_locked_key_never_asks_the_terminal(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.passphrase = SECRET
    bench.restart()
    bench.bring_up()
    name = bench.key_files()[0].stem
    with pytest.raises(ssl.SSLError):  # OpenSSL would wait for somebody to type
        FileKeyStore(bench.directory).present(name, ssl.create_default_context())


def test_a_certificate_of_another_key_is_not_kept(tmp_path: Path, issuing_ca: CertificateAuthority) -> None:
    store = FileKeyStore(tmp_path)
    name = store.create(KeyKind.P256)
    with pytest.raises(ValueError, match="another key"):
        store.certify(name, (issuing_ca.certificate,))
    with pytest.raises(KeyError):
        store.chain(name)


def test_a_request_proves_possession_of_the_key_of_its_name(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path)
    names = {store.create(KeyKind.P256) for _ in range(2)}
    requests = [x509.load_der_x509_csr(store.request(name, "dev-1")) for name in names]
    assert all(request.is_signature_valid for request in requests)
    assert requests[0].public_key() != requests[1].public_key()
    store.keep_only([])
    for name in names:
        with pytest.raises(KeyError):
            store.request(name, "dev-1")
