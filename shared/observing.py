"""Telemetry's beginning: what the settings ask for is set up once, and trouble with it stops nobody's work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from shared.errors import SettingsError
from shared.settings import read_telemetry_settings

_log = logging.getLogger(__name__)


def begin_telemetry(environment: Mapping[str, str]) -> Callable[[], None] | None:
    """Sets up what the settings ask for, and returns what ends it; None where they ask for nothing.

    A wrong setting and a library that refuses it are logged: nobody's renewal waits for telemetry.
    """
    try:
        settings = read_telemetry_settings(environment)
        if settings.log_format == "json":
            from shared.logs import write_json

            write_json()
        if not settings.goes_somewhere:
            return None
        from shared.adapters.exporting import export

        return export(settings)
    except (SettingsError, ValueError) as problem:
        _log.error("nothing is exported: %s", problem)  # what is wrong is the setting, not the code
        return None
