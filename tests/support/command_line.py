"""`fleetcert` as a second terminal runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


class Terminal:
    """A working directory and variables that are set once."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {"PATH": os.environ["PATH"], "COLUMNS": "300", **variables}

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`fleetcert ...`, whatever comes of it."""
        return self.start(str(Path(sys.executable).with_name("fleetcert")), *command, **variables)

    def do(self, *command: str, **variables: str) -> str:
        """`fleetcert ...`: what it prints; fails where it fails."""
        done = self.run(*command, **variables)
        assert done.returncode == 0, f"fleetcert {' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *command: str, **variables: str) -> str:
        """`fleetcert ...`, which has to fail with one clear line: that line."""
        done = self.run(*command, **variables)
        assert done.returncode == 1, done.stdout
        (line,) = done.stderr.strip().splitlines()
        return line

    def by_hand(self, step: str, **variables: str) -> None:
        """A part of the manual steps, with OpenSSL."""
        done = self.start("bash", str(Path(__file__).with_name("manual_steps.sh")), step, **variables)
        assert done.returncode == 0, done.stderr

    def in_background(self, *command: str) -> subprocess.Popen[bytes]:
        """`fleetcert ...`, which hears Ctrl-C even where the tests themselves were started deaf to it (`nohup`)."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("fleetcert"), *command],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def start(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Any command."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
