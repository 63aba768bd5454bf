"""The sample app in Microsoft's runtime, in a process of its own: the runtime loads one app a process."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from azure.storage.blob import BlobServiceClient

from fleetcert.local.azurite import Azurite, azurite
from fleetcert.local.credentials import Tokens
from fleetcert.local.identity import IdentityEndpoint, ManagedIdentity
from fleetcert.local.processes import Child, start_child

HERE = Path(__file__).parent
POLL_SECONDS = 0.03
LOCAL_SETTINGS = {"Values": {"JOBS": "jobs", "COLOUR": "from the file", "JOURNAL": "the environment wins"}}


def wait_for[T](look: Callable[[], T], seconds: float = 20) -> T:
    """The first true result of `look`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(POLL_SECONDS)
    return found


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session")
def start_host() -> Callable[..., Any]:
    return running_host


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def unused_port() -> int:
    return free_port()


class Loop:
    """An event loop in a thread, for servers that the tests talk to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@dataclass(frozen=True)
class RunningHost:
    """A host process, what its functions noted, and its log."""

    url: str
    journal: Path
    child: Child
    keys: Mapping[str, str]

    def noted(self, function: str, **members: Any) -> list[dict[str, Any]]:
        """The journal's entries of one function that have these members."""
        text = self.journal.read_text(encoding="utf-8") if self.journal.exists() else ""
        entries = [json.loads(line) for line in text.splitlines()]
        wanted = {"function": function, **members}
        return [entry for entry in entries if wanted.items() <= entry.items()]

    def log(self) -> str:
        return self.child.log_file.read_text(encoding="utf-8")


@contextmanager
def running_host(app: str, folder: Path, settings: Mapping[str, str]) -> Iterator[RunningHost]:
    """Runs an app of this directory for as long as the block does; the journal stays in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    port, keys = free_port(), folder / "keys.json"
    keys.unlink(missing_ok=True)
    directory = shutil.copytree(HERE / app, folder / "app", dirs_exist_ok=True)
    (directory / "local.settings.json").write_text(json.dumps(LOCAL_SETTINGS), encoding="utf-8")
    command = [sys.executable, "-m", "fleetcert.local.functions_host", "--app", directory, "--port", str(port)]
    environment = {**settings, "JOURNAL": str(folder / "journal.jsonl")}
    log = folder / f"host-{time.monotonic_ns()}.log"
    child = start_child("the functions host", [*command, "--keys", keys], log, environment)
    try:
        wait_for(lambda: child.require_alive() or (keys.exists() and keys.read_text()), 60)
        yield RunningHost(f"http://127.0.0.1:{port}", folder / "journal.jsonl", child, json.loads(keys.read_text()))
    finally:
        child.stop()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(scope="session")
def server_loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@dataclass(frozen=True)
class Identity:
    """The local identity endpoint and the tokens that it signs."""

    url: str
    tokens: Tokens

    def token(self, audience: str = "api://fleetcert", lifetime: timedelta = timedelta(hours=1), **claims: Any) -> str:
        return self.tokens.issue(audience, claims, lifetime)[0]


@pytest.fixture(scope="session")
def identity(server_loop: Loop) -> Iterator[Identity]:
    tokens = Tokens()
    runner = web.AppRunner(IdentityEndpoint(tokens, ManagedIdentity()).application())

    async def start() -> str:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield Identity(server_loop.run(start()), tokens)
    server_loop.run(runner.cleanup())


@pytest.fixture(scope="session")
def sample_settings(storage: Azurite, identity: Identity) -> dict[str, str]:
    return {
        "AzureWebJobsStorage": storage.connection_string,
        "FleetStorage": storage.connection_string,
        "FLEETCERT_GATE_JWKS": f"{identity.url}/discovery/keys",
        "FLEETCERT_GATE_LOGIN": f"{identity.url}/local/token?role={{role}}",
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2",
    }


@pytest.fixture(scope="session")
def sample_host(
    tmp_path_factory: pytest.TempPathFactory, storage: Azurite, sample_settings: Mapping[str, str]
) -> Iterator[RunningHost]:
    """The sample app; its timer `yearly` was last seen running two years ago."""
    blobs = BlobServiceClient.from_connection_string(storage.connection_string)
    container = blobs.create_container("azure-webjobs-hosts")
    long_ago = (datetime.now(UTC) - timedelta(days=800)).isoformat()
    status = json.dumps({"Last": long_ago, "Next": long_ago, "LastUpdated": long_ago})
    container.upload_blob("timers/local/yearly/status", status)
    with running_host("sample_app", tmp_path_factory.mktemp("sample"), sample_settings) as host:
        yield host
    blobs.close()


@pytest.fixture
def http(sample_host: RunningHost) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sample_host.url, timeout=10) as client:
        yield client
