"""The whole local Azure with the app, in processes of their own, for the benches that go end to end."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fleetcert.local.processes import CannotStart, start_child

_START_SECONDS: Final = 120.0


@contextmanager
def running_azure(**environment: str) -> Iterator[Mapping[str, Any]]:
    """What azure.json says of a local Azure that runs as long as the block. environment: settings of its own.

    Raises: CannotStart, ChildDied.
    """
    with tempfile.TemporaryDirectory(prefix="bench-azure-") as folder:
        home = Path(folder) / ".local"
        settings = {**os.environ, "FLEETCERT_LOCAL_DIR": str(home), **environment}
        command = [sys.executable, "-m", "fleetcert", "local", "up"]
        child = start_child("the local Azure", command, Path(folder) / "up.log", settings)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not (home / "azure.json").exists():
                child.require_alive()
                if time.monotonic() > deadline:
                    raise CannotStart(f"the local Azure is not up after {_START_SECONDS:.0f} s:\n{child.log_tail()}")
                time.sleep(0.1)
            yield json.loads((home / "azure.json").read_text(encoding="utf-8"))
        finally:
            child.stop()
