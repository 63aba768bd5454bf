"""The order in which a file reaches the disk: that order is the whole promise."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetcert.device.durable import remove_durably, write_durably


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the disk, in order."""
    seen: list[str] = []

    def recorded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            kind = ""
            if name == "fsync":
                kind = " directory" if stat.S_ISDIR(os.fstat(arguments[0]).st_mode) else " file"
            seen.append(f"{name}{kind}")
            return real(*arguments, **options)

        return operation

    for name in ("fsync", "replace", "unlink"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    return seen


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path: Path, steps: list[str]) -> None:
    write_durably(tmp_path / "key.pem", b"key")
    assert steps == ["fsync file", "replace", "fsync directory"]
    assert (tmp_path / "key.pem").read_bytes() == b"key"


def test_a_removal_is_on_the_disk_too(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "key.pem").touch()
    remove_durably(tmp_path / "key.pem")
    remove_durably(tmp_path / "key.pem")
    assert steps == ["unlink", "fsync directory"] * 2
