"""What OpenSSL and pkilint say of certificates: tools that are not ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def openssl(*arguments: str | Path) -> str:
    """What it prints; fails where it fails."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
    return done.stdout


def text_of(certificate: Path) -> str:
    """`openssl x509 -text`, without the spaces that lay it out."""
    return " ".join(openssl("x509", "-in", certificate, "-noout", "-text").split())


def lint(certificate: Path) -> set[str]:
    """The errors of pkilint's linter for RFC 5280, by their codes."""
    command = [Path(sys.executable).with_name("lint_pkix_cert"), "lint", "-f", "JSON", "-s", "ERROR", certificate]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not said.stderr, said.stderr
    return {finding["code"] for one in json.loads(said.stdout)["results"] for finding in one["finding_descriptions"]}


def lint_pair(issuer: Path, subject: Path) -> str:
    """What pkilint's linter of pairs has against them."""
    command = [Path(sys.executable).with_name("lint_pkix_signer_signee_cert_chain"), "lint", "-s", "ERROR"]
    said = subprocess.run([*command, issuer, subject], capture_output=True, text=True, check=False, timeout=60)
    assert not said.stderr, said.stderr
    return said.stdout.strip()
