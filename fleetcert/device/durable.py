"""Files that survive a power loss: whole before it or whole after it, never half."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


def write_durably(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Writes aside, flushes to the disk, and renames: whoever opens `path` sees the old bytes or the new ones.

    Raises: OSError, after which `path` is as it was, and what was written aside is gone if the disk lets it go.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        _write_aside(aside, data, mode)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)  # half a file would keep a full disk full
        raise
    _sync_directory(path.parent)


def remove_durably(path: Path) -> None:
    """Removes a file, and is content where there is none."""
    path.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _write_aside(aside: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)  # a file that a power loss left behind keeps the mode it had
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    # Without this the rename itself may be lost, though the file's bytes are not.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
