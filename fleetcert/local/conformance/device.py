"""The device under test: a command, the environment that it is given, and the process that it becomes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fleetcert.certificates import CertificateAuthority
from fleetcert.local.processes import Child, start_child
from fleetcert.onboarding.authority import create_hierarchy, issue_device_credential, load_authority

LONGEST_PAUSE_SECONDS: Final = 3
_END_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Factory:
    """Where the devices of one scenario are made: a CA of their own, and a folder. authority: PEM, for DPS."""

    folder: Path
    authority: Path

    @classmethod
    def build(cls, folder: Path, name: str) -> Factory:
        """Makes the CA."""
        create_hierarchy(folder / "factory", name, key_type="ec")
        return cls(folder, folder / "factory" / "ca" / "intermediate-ca.pem")


@dataclass(slots=True)
class DeviceUnderTest:
    """One device and its disk, which outlives its processes.

    certificate: its bootstrap certificate; authority: the CA of that. Both PEM.
    """

    device_id: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    certificate: Path
    authority: Path
    _child: Child | None = field(default=None, repr=False)
    _starts: int = 0

    @classmethod
    def fresh(
        cls, device_id: str, command: Sequence[str], factory: Factory, azure: Mapping[str, Any]
    ) -> DeviceUnderTest:
        """A device as it leaves the factory: with a bootstrap certificate and an empty state directory."""
        folder = factory.folder / device_id
        hierarchy = _authority(factory)
        files = issue_device_credential(folder / "onboarding", hierarchy, device_id, key_type="ec")
        state = folder / "state"
        state.mkdir(mode=0o700)
        environment = {
            "FLEETCERT_REGISTRATION_ID": device_id,
            "FLEETCERT_ID_SCOPE": azure["dps_id_scope"],
            "FLEETCERT_DPS_ENDPOINT": azure["dps_endpoint"],
            "FLEETCERT_MQTT_PORT": str(azure["mqtt_port"]),
            "FLEETCERT_CA_BUNDLE": azure["ca_bundle"],
            "FLEETCERT_ONBOARDING_CERT": str(files.full_chain),
            "FLEETCERT_ONBOARDING_KEY": str(files.key),
            "FLEETCERT_STATE_DIR": str(state),
            "FLEETCERT_LONGEST_PAUSE": str(LONGEST_PAUSE_SECONDS),
        }
        return cls(device_id, command, folder, environment, files.certificate, factory.authority)

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._child is not None and self._child.process.poll() is None

    @property
    def log(self) -> str:
        """The end of what its last process said."""
        return self._child.log_tail(8) if self._child else ""

    def start(self) -> None:
        """Starts the command; what it says goes to a file of its own."""
        self._starts += 1
        log = self.folder / f"device-{self._starts}.log"
        self._child = start_child(self.device_id, self.command, log, self.environment, Path.cwd())

    def end(self) -> None:
        """SIGTERM, and the end that follows it; a process that does not heed it is killed."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: a power loss."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is None or self._child.process.poll() is not None:
            return
        os.killpg(self._child.process.pid, number)  # it leads a session: whatever it has started goes with it
        try:
            self._child.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.process.pid, signal.SIGKILL)
            self._child.process.wait()


def _authority(factory: Factory) -> CertificateAuthority:
    folder = factory.folder / "factory"
    return load_authority(factory.authority, folder / "ca" / "intermediate-ca.key", folder / "root" / "root-ca.pem")
