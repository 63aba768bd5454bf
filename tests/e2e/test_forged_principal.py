"""The probe after a deployment, against the app behind the local gate."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

PROBE = Path(__file__).parents[2] / "infra/hooks/probe.sh"


def test_the_gate_lets_no_forged_principal_through(azure: dict[str, Any]) -> None:
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "localhost,127.0.0.1", "PROBE_SECONDS": "1"}
    tenant = azure["settings"]["FLEETCERT_TENANT_ID"]
    probe = subprocess.run(
        ["sh", PROBE, azure["functions_url"], tenant], env=environment, capture_output=True, text=True, check=False
    )
    assert probe.returncode == 0, probe.stderr
    assert probe.stdout.count("refused (401)") == 3
