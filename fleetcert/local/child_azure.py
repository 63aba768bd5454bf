"""`fleetcert local up` as a child process, for whoever needs a local Azure of their own for a while."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fleetcert.local.processes import CannotStart, Child, start_child

_START_SECONDS: Final = 90.0


@contextmanager
def child_azure(azure_file: Path, environment: Mapping[str, str], *, with_app: bool = True) -> Iterator[dict[str, Any]]:
    """The parsed azure.json, from when everything answers; at the end the processes are gone.

    azure_file: where that local Azure writes it. Raises: CannotStart, ChildDied.
    """
    azure_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="fleetcert-azure-") as folder:
        command = [sys.executable, "-m", "fleetcert", "local", "up", *([] if with_app else ["--without-app"])]
        child = start_child("the local Azure", command, Path(folder) / "up.log", environment)
        try:
            _await_file(azure_file, child)
            yield json.loads(azure_file.read_text())
        finally:
            child.stop()


def _await_file(file: Path, child: Child) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists():
        child.require_alive()
        if time.monotonic() > deadline:
            raise CannotStart(f"the local Azure is not up after {_START_SECONDS:.0f} s:\n{child.log_tail()}")
        time.sleep(0.1)
