"""`python -m fleetcert.local.functions_host --app DIR --port N`: runs an app until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from fleetcert.local.functions_host.engine import IndexingFailed
from fleetcert.local.functions_host.host import FunctionsHost
from fleetcert.local.functions_host.logs import configure_logging
from fleetcert.local.functions_host.settings import ConfigurationError, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """The process's exit code: 0 after a stop, 1 when the app or its configuration cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(options.app, os.environ)
        limit = timedelta(seconds=options.drain_seconds)
        host = FunctionsHost(options.app, settings, options.port, drain_limit=limit)
        configure_logging(host.engine.running, logging.getLevelNamesMapping()[options.log_level])
        asyncio.run(_serve(host, options.keys))
    except IndexingFailed as error:
        return _fail(f"the app in {options.app} cannot be loaded: {error}")
    except (ConfigurationError, OSError) as error:
        return _fail(f"the host cannot start: {error}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleetcert.local.functions_host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="directory of function_app.py and host.json")
    parser.add_argument("--port", type=int, default=7071, help="HTTP port on the loopback, 0 for a free one")
    parser.add_argument("--keys", type=Path, help="file to write the function key and the master key to (mode 0600)")
    parser.add_argument("--drain-seconds", type=float, default=5, help="how long a stop waits for running invocations")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


async def _serve(host: FunctionsHost, keys_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await host.start()
        if keys_file is not None:
            _write_keys(host, keys_file)
        await stop.wait()
    finally:
        await host.stop()


def _write_keys(host: FunctionsHost, file: Path) -> None:
    file.touch(mode=0o600)
    file.write_text(json.dumps({"function": host.keys.function, "master": host.keys.master}), encoding="utf-8")


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


if __name__ == "__main__":
    # An app has no say in its worker's end, in Azure neither. Links that it left open (uamqp's live in C) fail noisily
    # where the interpreter takes itself apart, so it does not.
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
