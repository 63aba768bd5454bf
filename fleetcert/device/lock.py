"""One agent a directory: two would destroy each other's keys."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fleetcert.device.errors import DirectoryInUse


class DirectoryLock:
    """Held until `release`, or until the process ends, however it ends. Raises: DirectoryInUse, OSError."""

    def __init__(self, directory: Path) -> None:
        self._descriptor: int | None = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            self.release()
            raise DirectoryInUse(directory) from problem

    def release(self) -> None:
        """The directory is free for another; to release twice is harmless."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
