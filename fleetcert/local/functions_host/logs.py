"""Log lines that say which function and which invocation they come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import azure_functions_runtime as runtime

_FORMAT = "%(asctime)s %(levelname)-7s [%(function)s %(invocation)s] %(name)s: %(message)s"
_LOUD_BELOW_WARNING = ("azure", "uamqp", "aiohttp.access")


class InvocationLabels(logging.Filter):
    """Adds `function` and `invocation` to every record; `host` and `-` outside of an invocation."""

    def __init__(self, running: Mapping[str, str]) -> None:
        """running: the function's name by invocation id."""
        super().__init__()
        self._running = running

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        invocation = runtime.invocation_id_cv.get()
        record.function = self._running.get(invocation or "", "host")
        record.invocation = invocation or "-"
        return True


def configure_logging(running: Mapping[str, str], level: int) -> None:
    """Writes records of that level and above to stderr; the Azure SDKs speak up from warnings only."""
    handler = logging.StreamHandler()
    handler.addFilter(InvocationLabels(running))
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _LOUD_BELOW_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
