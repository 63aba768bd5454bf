"""The host as a process: a clear end when the app is broken, and a stop that lets work finish."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.queue import QueueClient

HERE = Path(__file__).parent


def run_to_its_end(app: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fleetcert.local.functions_host", "--app", str(app), "--port", "0"]
    environment = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_an_app_that_cannot_be_indexed_ends_the_host_with_the_workers_own_words() -> None:
    ended = run_to_its_end(HERE / "broken_app")

    assert ended.returncode == 1
    assert "FunctionLoadError: cannot load the misnamed function" in ended.stderr
    assert "Traceback" in ended.stderr


def test_a_directory_without_an_app_ends_the_host(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    ended = run_to_its_end(tmp_path)

    assert ended.returncode == 1
    assert "holds no function_app.py" in ended.stderr


def test_a_bad_host_file_ends_the_host_and_names_the_member() -> None:
    ended = run_to_its_end(HERE / "sample_app", AzureFunctionsJobHost__extensions__queues__batchSize="many")

    assert ended.returncode == 1
    assert "host.json" in ended.stderr
    assert "batchSize" in ended.stderr


@pytest.fixture
def other_settings(sample_settings: Mapping[str, str], storage: Any) -> dict[str, str]:
    """The same app on a queue of its own, beside the host that the other tests use."""
    with QueueClient.from_connection_string(storage.connection_string, "stopping") as queue:
        queue.create_queue()
        queue.send_message(base64.b64encode(b"slow and counted").decode())
    # With a threshold the listener looks for more while a message is at work, and so meets the stop in a look.
    threshold = {"AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "1"}
    return {**sample_settings, **threshold, "JOBS": "stopping"}


def test_a_stop_lets_running_work_finish_and_settles_it(
    start_host: Any, other_settings: dict[str, str], storage: Any, tmp_path: Path, eventually: Any
) -> None:
    answers: list[str] = []
    with start_host("sample_app", tmp_path, other_settings) as host:
        request = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{host.url}/api/slow-request", timeout=20).text)
        )
        request.start()
        eventually(lambda: host.noted("slow_request") and host.noted("work", phase="start"))

    request.join()
    assert answers == ["finished"]
    assert len(host.noted("work", phase="end")) == 1
    with QueueClient.from_connection_string(storage.connection_string, "stopping") as queue:
        assert queue.get_queue_properties().approximate_message_count == 0
    with QueueClient.from_connection_string(storage.connection_string, "done") as queue:
        done = [json.loads(base64.b64decode(message.content))["done"] for message in queue.peek_messages(32)]
    assert "slow and counted" in done
    assert host.child.process.returncode == 0
