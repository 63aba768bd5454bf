"""What the manual steps of "Understanding X.509 and CSR Workflows" make, by OpenSSL's own commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fleetcert.device.credential import OnboardingCredential

ROOT_EXTENSIONS = (
    "basicConstraints=critical,CA:true,pathlen:1",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid:always",
)
INTERMEDIATE_EXTENSIONS = """[ v3_intermediate ]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
"""
DEVICE_EXTENSIONS = """[ v3_req ]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
subjectAltName = DNS:{registration_id}
authorityKeyIdentifier = keyid:always,issuer
"""


class SeedFiles:
    """The files of one device and its CAs, in the page's folders."""

    def __init__(self, folder: Path, registration_id: str) -> None:
        self.folder = folder
        self.registration_id = registration_id
        for part in ("root", "ca", "device"):
            (folder / part).mkdir(parents=True)

    def openssl(self, *arguments: str | Path) -> None:
        command = ["openssl", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def make_authorities(self) -> None:
        """Step 2."""
        extensions = [word for extension in ROOT_EXTENSIONS for word in ("-addext", extension)]
        subject = f"/CN={self.registration_id}-root"
        self.openssl(
            *("req", "-x509", "-new", "-nodes", "-newkey", "rsa:4096", "-keyout", "root/root-ca.key"),
            *("-out", "root/root-ca.pem", "-days", "3650", "-sha256", "-subj", subject, *extensions),
        )
        self.openssl("genrsa", "-out", "ca/intermediate-ca.key", "4096")
        subject = f"/CN={self.registration_id}-intermediate"
        self.openssl(
            "req", "-new", "-key", "ca/intermediate-ca.key", "-out", "ca/intermediate-ca.csr", "-subj", subject
        )
        (self.folder / "ca/intermediate-ext.cnf").write_text(INTERMEDIATE_EXTENSIONS)
        self.openssl(
            *("x509", "-req", "-in", "ca/intermediate-ca.csr", "-CA", "root/root-ca.pem", "-CAkey", "root/root-ca.key"),
            *("-CAcreateserial", "-out", "ca/intermediate-ca.pem", "-days", "1825", "-sha256"),
            *("-extfile", "ca/intermediate-ext.cnf", "-extensions", "v3_intermediate"),
        )

    def prove(self, code: str) -> str:
        """The verification certificate of step 5."""
        self.openssl("genrsa", "-out", "ca/verification.key", "2048")
        csr = ("-new", "-key", "ca/verification.key", "-out", "ca/verification.csr", "-subj", f"/CN={code}")
        self.openssl("req", *csr)
        self.openssl(
            *("x509", "-req", "-in", "ca/verification.csr", "-CA", "ca/intermediate-ca.pem"),
            *("-CAkey", "ca/intermediate-ca.key", "-CAcreateserial", "-out", "ca/verification.pem", "-days", "1"),
            "-sha256",
        )
        return (self.folder / "ca/verification.pem").read_text()

    def make_device(self) -> OnboardingCredential:
        """Step 6."""
        device = self.folder / "device"
        self.openssl("genrsa", "-out", "device/device.key", "2048")
        csr = ("-key", "device/device.key", "-out", "device/device.csr", "-subj", f"/CN={self.registration_id}")
        self.openssl("req", "-new", *csr)
        (device / "device-ext.cnf").write_text(DEVICE_EXTENSIONS.format(registration_id=self.registration_id))
        self.openssl(
            *("x509", "-req", "-in", "device/device.csr", "-CA", "ca/intermediate-ca.pem"),
            *("-CAkey", "ca/intermediate-ca.key", "-out", "device/device.pem", "-days", "365", "-sha256"),
            *("-extfile", "device/device-ext.cnf", "-extensions", "v3_req"),
        )
        parts = [(self.folder / name).read_text() for name in ("device/device.pem", "ca/intermediate-ca.pem")]
        root = (self.folder / "root/root-ca.pem").read_text()
        (device / "device-full-chain.pem").write_text("".join([*parts, root]))
        return OnboardingCredential.load(device / "device-full-chain.pem", device / "device.key")
