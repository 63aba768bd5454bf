"""`fleetcert local up` as a process under test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

START_SECONDS = 120


@dataclass
class Up:
    """A `fleetcert local up` under test."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    @property
    def azure_file(self) -> Path:
        return self.folder / "azure.json"

    def wait_until_ready(self) -> dict[str, Any]:
        deadline = time.monotonic() + START_SECONDS
        while not self.azure_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"the local Azure did not start:\n{self.log.read_text()}\n{self._functions_log()}")
            time.sleep(0.05)
        return dict(json.loads(self.azure_file.read_text()))

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)

    def _functions_log(self) -> str:
        log = self.folder / "functions.log"
        return log.read_text() if log.exists() else ""


def start_up(folder: Path, *options: str, **environment: str) -> Up:
    """Starts the local Azure with its files in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("fleetcert"), "local", "up", "--verbose", *options],
            env={**os.environ, "FLEETCERT_LOCAL_DIR": str(folder / ".local"), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Up(process, folder / ".local", log)
