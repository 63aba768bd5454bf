"""The probe with a forged principal: what it makes of a server that refuses, believes, or does not answer."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
HOOKS = PROJECT / "infra/hooks"
TENANT = "22222222-2222-2222-2222-222222222222"
REFUSED, BELIEVED, NO_TELLING = 0, 3, 4
type Answer = Callable[[str, dict[str, str]], int]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a server that answers with the status that a function of path and headers gives; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(answer(self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()


def probe(url: str, tries: int = 2) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PROBE_TRIES": str(tries), "PROBE_SECONDS": "0", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        ["sh", HOOKS / "probe.sh", url, TENANT], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("status", [401, 403, 302])
def test_a_server_that_refuses_passes(serve: Callable[[Answer], str], status: int):
    done = probe(serve(lambda path, headers: status))
    assert done.returncode == REFUSED, done.stderr
    assert done.stdout.count(f"refused ({status})") == 3


@pytest.mark.parametrize("status", [200, 202, 404, 405])
def test_a_server_that_lets_the_caller_in_is_found_out_whatever_it_answers(serve: Callable[[Answer], str], status: int):
    done = probe(serve(lambda path, headers: status))
    assert done.returncode == BELIEVED
    assert "BELIEVED" in done.stderr


def test_one_path_that_believes_is_enough(serve: Callable[[Answer], str]):
    assert probe(serve(lambda path, headers: 404 if path.endswith("/no-such-device") else 401)).returncode == BELIEVED


def test_a_server_that_is_still_starting_is_waited_for(serve: Callable[[Answer], str]):
    seen: list[str] = []

    def answer(path: str, headers: dict[str, str]) -> int:
        seen.append(path)
        return 503 if len(seen) < 3 else 401

    assert probe(serve(answer), tries=5).returncode == REFUSED


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_tells_nothing(serve: Callable[[Answer], str], status: int):
    assert probe(serve(lambda path, headers: status)).returncode == NO_TELLING


def test_a_server_that_is_not_there_tells_nothing():
    assert probe("http://127.0.0.1:9").returncode == NO_TELLING


def test_the_header_is_one_that_the_app_would_believe_if_it_reached_it(serve: Callable[[Answer], str]):
    from shared.adapters.principal import PlatformPrincipals
    from shared.schemas.access import Role

    seen: list[dict[str, str]] = []

    def answer(path: str, headers: dict[str, str]) -> int:
        seen.append(headers)
        return 401

    probe(serve(answer))
    principal = PlatformPrincipals(platform_authenticates=True, tenant_id=TENANT).principal(seen[0])
    assert {role.value for role in Role} == set(principal.roles)


def test_the_powershell_probe_sends_the_same_claims():
    """PowerShell does not run here: compared by their texts."""
    told = (HOOKS / "probe.ps1").read_text()
    sent = json.loads((HOOKS / "probe.sh").read_text().split("printf '")[1].split('\' "$tenant"')[0])
    for claim in sent["claims"]:
        assert f"typ = '{claim['typ']}'" in told
        assert claim["val"] in told or claim["val"] == "%s"
    paths = (HOOKS / "probe.sh").read_text().split("for path in ")[1].split(";")[0].split()
    assert len(paths) == 3
    assert all(f"'{path}'" in told for path in paths)


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs the hook after a deployment of an app that answers with a status; `az` notes that it was called."""

    def run(status: str) -> subprocess.CompletedProcess[str]:
        shutil.copytree(HOOKS, tmp_path / "infra/hooks")
        (tmp_path / "bin").mkdir()
        for name, script in (("curl", f"printf {status}"), ("az", f'echo "$@" >> {tmp_path}/az.log')):
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        environment = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PROBE_TRIES": "1",
            "FLEETCERT_APP_HOSTNAME": "func-x.azurewebsites.net",
            "FLEETCERT_APP_NAME": "func-x",
            "FLEETCERT_DPS_ID_SCOPE": "0ne",
            "AZURE_RESOURCE_GROUP": "rg-x",
            "AZURE_TENANT_ID": TENANT,
        }
        hook = ["sh", "./infra/hooks/postdeploy.sh"]
        return subprocess.run(hook, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_an_app_that_believes_is_stopped(deployed: Callable[[str], Any], tmp_path: Path):
    done = deployed("200")
    assert done.returncode == 1
    assert "WAS STOPPED" in done.stderr
    assert (tmp_path / "az.log").read_text() == "functionapp stop --name func-x --resource-group rg-x\n"


def test_an_app_that_refuses_is_left_alone(deployed: Callable[[str], Any], tmp_path: Path):
    done = deployed("401")
    assert done.returncode == 0, done.stderr
    assert "a forged principal is refused" in done.stdout
    assert not (tmp_path / "az.log").exists()


def test_an_app_that_gives_no_answer_fails_the_deployment_and_is_not_stopped(
    deployed: Callable[[str], Any], tmp_path: Path
):
    done = deployed("503")
    assert done.returncode == 1
    assert "no answer that tells" in done.stderr
    assert not (tmp_path / "az.log").exists()


def test_the_forged_header_is_text_that_base64_can_carry():
    script = (HOOKS / "probe.sh").read_text()
    claims = script.split("printf '")[1].split('\' "$tenant"')[0] % TENANT
    assert json.loads(base64.b64decode(base64.b64encode(claims.encode())))["auth_typ"] == "aad"
