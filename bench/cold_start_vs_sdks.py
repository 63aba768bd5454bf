"""A cold start: importing the deployed app, against importing only the third-party modules that it ends up with.

Each import is a process of its own, timed inside it, so that the interpreter's own start is in neither. Both sides find
their bytecode on disk, in a cache that is made for the bench.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.results import Goal, Result
from bench.runner import Effort, in_turn

_ROOT: Final = Path(__file__).parents[1]
_OURS: Final = ("function_app", "functions", "shared")
_LIST: Final = """
import json, sys
before = set(sys.modules)
import function_app
print(json.dumps([name for name in sys.modules if name not in before]))
"""
_TIME: Final = """
import importlib, json, sys, time
names = json.loads(sys.stdin.read())
started = time.perf_counter()
for name in names:
    importlib.import_module(name)
print(time.perf_counter() - started)
"""


def measure(effort: Effort) -> Sequence[Result]:
    """Milliseconds of both."""
    with tempfile.TemporaryDirectory(prefix="bench-") as cache:
        loaded: list[str] = json.loads(_python(cache, _LIST))
        sdks = [name for name in loaded if name.partition(".")[0] not in _OURS and not name.startswith("_")]
        rounds = effort.of(15, 2)
        value, against = in_turn(
            rounds, lambda: import_milliseconds(cache, ["function_app"]), lambda: import_milliseconds(cache, sdks)
        )
    packages = {name.partition(".")[0] for name in sdks} - sys.stdlib_module_names
    return [
        Result(
            name="cold_start_vs_sdks",
            value=value,
            unit="ms",
            against=against,
            goal=Goal("<=", 1.3),
            limit=f"reading {len(loaded)} modules, of {', '.join(sorted(packages))}; the other SDKs load at first use",
        )
    ]


def import_milliseconds(cache: str, names: Sequence[str]) -> float:
    """How long a new interpreter takes to import these. cache: the folder of its bytecode."""
    return 1000 * float(_python(cache, _TIME, json.dumps(names)))


def _python(cache: str, program: str, stdin: str = "") -> str:
    """What a new interpreter prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", program],
        cwd=_ROOT,
        env={**environment, "PYTHONPYCACHEPREFIX": cache},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
