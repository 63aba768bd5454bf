"""Schemathesis reads the served document and tries what fits it and what does not, against the app behind its gate."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.events import claim, twin_event

from shared import composition
from shared.domain.listing import EVERY_DEVICE
from shared.domain.record import Actor
from shared.domain.selecting import Selector

ALL = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")
ANN = Actor(name="ann")
SEED = "20261123"
EXAMPLES = "50"
SECONDS = 60


async def a_small_fleet(ports: Any) -> list[str]:
    """Some devices that are known, some that only the hub knows, and the ids of an export and of a bulk operation."""
    services = await composition.app.services()
    now = datetime.now(UTC).replace(microsecond=0)
    known = ["pump-0042", "0", "a", "%"]
    events = [
        twin_event({"certificate": claim(now, timedelta(days=30))}, device_id=device_id, sequence=place, at=now)
        for place, device_id in enumerate(known)
    ]
    await services.recording.record_hub_events(events)
    for device_id in (*known, "A", "00"):
        ports.hub.add(device_id)
    export = await services.exports.start(EVERY_DEVICE, ANN, "test")
    await services.operations.step({"operationId": export.id})
    bulk = await services.bulk.start("renew", Selector(tag="a=b"), ANN, "test")
    return [export.id, bulk.id]


async def some_suppressions() -> list[str]:
    """Each can be lifted once."""
    suppressions, until = (await composition.app.services()).watching.suppressions, datetime.now(UTC) + timedelta(1)
    added = [
        await suppressions.add(alert_type="*", device=f"dev-{n}", until=until, actor=ANN, reason="test")
        for n in range(5)
    ]
    return [suppression.id for suppression in added]


@pytest.mark.timeout(120)
async def test_no_request_that_the_document_allows_or_forbids_is_answered_otherwise(
    served: Any, ports: Any, tmp_path: Path
):
    operations = await a_small_fleet(ports)
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[auth.openapi.entra]\nbearer = "{served.token(*ALL)}"\n')
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(config)),
        *("run", f"{served.url}/api/openapi.json"),
        *("--checks", "all", "--seed", SEED, "--max-examples", EXAMPLES),
        *(
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--generation-database",
            "none",
            "--no-color",
        ),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env={
            "SCHEMATHESIS_HOOKS": "support.schemathesis_hooks",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "KNOWN_OPERATIONS": " ".join(operations),
            "KNOWN_SUPPRESSIONS": " ".join(await some_suppressions()),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    lifted = [row for (_, key), row in ports.table.rows.items() if key.startswith("audit!")]
    assert "suppressionLifted" in {row.values["kind"] for row in lifted}
