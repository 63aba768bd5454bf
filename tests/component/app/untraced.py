"""A process of its own: one invocation of the deployed app without any setting, and what it has loaded and started."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path

from fleetcert.local.functions_host.engine import Engine
from fleetcert.local.functions_host.wire import http_datum


async def main() -> None:
    engine = Engine(Path.cwd())
    functions = {function.name: function for function in await engine.start()}
    health = functions["health"]
    request = http_datum(method="GET", url="http://localhost/api/health", headers={}, query={}, params={}, body=b"")
    with engine.invocation(health) as invocation_id:
        outcome = await engine.invoke(health, invocation_id, {"request": request}, {})
    report = {
        "ok": outcome.ok,
        "opentelemetry": sorted(n for n in sys.modules if n.startswith(("opentelemetry", "azure.monitor"))),
        "threads": [t.name for t in threading.enumerate() if "Otel" in t.name],
    }
    print(json.dumps(report))


asyncio.run(main())
