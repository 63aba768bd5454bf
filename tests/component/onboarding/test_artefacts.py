"""Every artefact of `fleetcert onboard`, judged by OpenSSL and pkilint, and compared with the manual steps'."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.openssl import lint, lint_pair, openssl, text_of

SINGLE_LABEL = {"pkix.invalid_domain_name_syntax"}
"""pkilint wants a top-level domain in a DNS name. RFC 1034 does not, and the manual steps name `my-device` so."""

type Fleetcert = Callable[..., subprocess.CompletedProcess[str]]


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("fleetcert"), "onboard", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "COLUMNS": "300", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(folder: Path, *arguments: str, **environment: str) -> str:
    result = run(folder, *arguments, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module", params=["rsa", "ec", "p256", "p384"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A kind of key, and `certs/` with a hierarchy and a device of it."""
    folder = tmp_path_factory.mktemp(request.param)
    done(folder, "ca", "create", "my-device", "--key-type", request.param)
    done(folder, "device", "issue", "my-device.example.com", "--key-type", request.param)
    return request.param, folder / "certs"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `certs/`, the CAs in it."""
    folder = tmp_path_factory.mktemp("authorities")
    done(folder, "ca", "create", "my-device", "--key-type", "ec")
    return folder


def test_openssl_verifies_the_chain(made: tuple[str, Path]):
    certs = made[1]
    trust = ("-CAfile", certs / "root/root-ca.pem", "-untrusted", certs / "ca/intermediate-ca.pem")
    leaf = certs / "device/device.pem"
    assert openssl("verify", "-x509_strict", "-purpose", "sslclient", *trust, leaf) == f"{leaf}: OK\n"
    full = certs / "device/device-full-chain.pem"
    split = openssl("crl2pkcs7", "-nocrl", "-certfile", full)
    assert split.startswith("-----BEGIN PKCS7")
    chain = [f"CN = my-device{suffix}" for suffix in (".example.com", "-intermediate", "-root")]
    listed = subprocess.run(
        ["openssl", "pkcs7", "-print_certs", "-noout"], input=split, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall("subject=(CN = .*)", listed) == chain


KEYS = {
    "rsa": ("4096 bit", "4096 bit", "2048 bit"),
    "ec": ("P-384", "P-384", "P-256"),
    "p256": ("P-256",) * 3,
    "p384": ("P-384",) * 3,
}
CONSTRAINTS = "X509v3 Basic Constraints: critical CA:TRUE, pathlen:{} "
USAGE = "X509v3 Key Usage: critical Certificate Sign, CRL Sign"


def test_openssl_shows_the_profiles_of_the_manual_steps(made: tuple[str, Path]):
    kind, certs = made
    root, intermediate, device = (
        text_of(certs / name) for name in ("root/root-ca.pem", "ca/intermediate-ca.pem", "device/device.pem")
    )
    for text, key in zip((root, intermediate, device), KEYS[kind], strict=True):
        assert key in text
        assert "X509v3 Subject Key Identifier" in text
        assert "X509v3 Authority Key Identifier" in text
    assert CONSTRAINTS.format(1) + USAGE in root
    assert CONSTRAINTS.format(0) + USAGE in intermediate
    usage = "Digital Signature, Key Encipherment" if kind == "rsa" else "Digital Signature"
    assert f"X509v3 Basic Constraints: CA:FALSE X509v3 Key Usage: critical {usage} X509v3" in device
    assert "X509v3 Extended Key Usage: TLS Web Client Authentication" in device
    assert "X509v3 Subject Alternative Name: DNS:my-device.example.com" in device


def test_pkilint_finds_no_error(made: tuple[str, Path]):
    certs = made[1]
    root, intermediate, device = (
        certs / name for name in ("root/root-ca.pem", "ca/intermediate-ca.pem", "device/device.pem")
    )
    assert [lint(one) for one in (root, intermediate, device)] == [set(), set(), set()]
    assert [lint_pair(root, root), lint_pair(root, intermediate), lint_pair(intermediate, device)] == ["", "", ""]


def test_pkilint_finds_errors_where_there_are_some(made: tuple[str, Path]):
    certs = made[1]
    assert "signature_verification_failed" in lint_pair(certs / "root/root-ca.pem", certs / "device/device.pem")


@pytest.mark.parametrize(
    ("name", "errors"),
    [("my-device", SINGLE_LABEL), ("AA:BB:CC", set()), ("a_b", set()), ("10.0.0.1", set()), ("x" * 64, set())],
)
def test_pkilint_on_odd_ids(authorities: Path, tmp_path: Path, name: str, errors: set[str]):
    done(authorities, "device", "issue", name, "--key-type", "ec", "--output", str(tmp_path))
    assert lint(tmp_path / "device.pem") == errors


def test_requests_and_proofs_are_sound(made: tuple[str, Path]):
    certs = made[1]
    done(certs.parent, "ca", "prove", "root", "--code", "106A5SD242AF512B3498BD6098C4941E66R34H268DDB3288")
    for request in ("ca/intermediate-ca.csr", "device/device.csr", "root/verification.csr"):
        openssl("req", "-in", certs / request, "-verify", "-noout")
    proof = certs / "root/verification.pem"
    assert openssl("verify", "-CAfile", certs / "root/root-ca.pem", proof) == f"{proof}: OK\n"
    assert "CN = 106A5SD242AF512B3498BD6098C4941E66R34H268DDB3288" in text_of(proof)
    assert lint(proof) == set()


def test_thumbprints_are_printed_as_azure_shows_them(made: tuple[str, Path]):
    certs = made[1]
    shown = done(certs.parent, "ca", "show")
    for name in ("root/root-ca.pem", "ca/intermediate-ca.pem"):
        for algorithm in ("sha1", "sha256"):
            fingerprint = openssl("x509", "-in", certs / name, "-noout", "-fingerprint", f"-{algorithm}")
            assert fingerprint.partition("=")[2].strip().replace(":", "") in shown


def test_encrypted_keys_are_opened_by_openssl_with_the_passphrase_alone(tmp_path: Path):
    (tmp_path / "passphrase").write_text("one\n")
    options = ("--root-passphrase", "file:passphrase", "--intermediate-passphrase", "env:TWO", "--key-type", "ec")
    done(tmp_path, "ca", "create", "my-device", *options, TWO="two")
    root, intermediate = tmp_path / "certs/root/root-ca.key", tmp_path / "certs/ca/intermediate-ca.key"
    openssl("pkey", "-in", root, "-passin", "pass:one", "-noout")
    openssl("pkey", "-in", intermediate, "-passin", "pass:two", "-noout")
    wrong = subprocess.run(["openssl", "pkey", "-in", root, "-passin", "pass:two", "-noout"], capture_output=True)
    assert wrong.returncode != 0
    refused = run(tmp_path, "device", "issue", "my-device", "--key-type", "ec")
    assert refused.returncode == 1
    assert "intermediate-ca.key is encrypted: say where its passphrase is" in refused.stderr
    issue = ("device", "issue", "my-device", "--key-type", "ec", "--intermediate-passphrase", "env:TWO")
    done(tmp_path, *issue, "--key-passphrase", "env:THREE", TWO="two", THREE="three")
    openssl("pkey", "-in", tmp_path / "certs/device/device.key", "-passin", "pass:three", "-noout")


def test_the_manual_steps_and_the_commands_make_the_same(tmp_path: Path):
    """Extension by extension; only what is random, and the leaf's subject key identifier, is ours alone."""
    by_hand, ours = tmp_path / "by-hand", tmp_path / "certs"
    script = Path(__file__).parents[2] / "support/manual_steps.sh"
    for step in ("folders", "authorities", "device"):
        subprocess.run(
            ["bash", script, step],
            env={"PATH": os.environ["PATH"], "certDir": str(by_hand), "registrationId": "my-device"},
            capture_output=True,
            check=True,
        )
    done(tmp_path, "ca", "create", "my-device")
    done(tmp_path, "device", "issue", "my-device")
    for name in ("root/root-ca.pem", "ca/intermediate-ca.pem", "device/device.pem"):
        assert _without_what_is_random(ours / name) == _without_what_is_random(by_hand / name)
    made_by_hand = {str(path.relative_to(by_hand)) for path in by_hand.rglob("*.*")}
    made = {str(path.relative_to(ours)) for path in ours.rglob("*.*")}
    assert made == {name for name in made_by_hand if not name.endswith((".cnf", ".srl"))}


def _without_what_is_random(certificate: Path) -> dict[str, str]:
    text = openssl("x509", "-in", certificate, "-noout", "-text", "-certopt", "no_sigdump,no_serial,no_pubkey")
    extensions = re.split(r"\n {12}(?=X509v3)", text.partition("X509v3 extensions:")[2])
    read = {name.strip(): " ".join(value.split()) for name, _, value in (e.partition(":") for e in extensions)}
    lifetime = openssl("x509", "-in", certificate, "-noout", "-dates")
    identifiers = {"X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier"}
    rest = {name: value for name, value in read.items() if name not in identifiers and name}
    head = re.findall(r"(Version|Signature Algorithm|Issuer|Subject): (.*)", text)
    years = re.findall(r"(\d{4}) GMT", lifetime)
    return {**rest, **dict(head), "years": " ".join(years), "aki": str("X509v3 Authority Key Identifier" in read)}
