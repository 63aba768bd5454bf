"""What the simulated devices themselves say they are doing, from the events that the fleet writes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


class FleetLog:
    """Reads the fleet's events as they are appended; an unfinished line waits for its end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0
        self._doing: dict[str, str] = {}

    def doing(self) -> Counter[str]:
        """What devices are doing now -> how many of them."""
        for line in self._new_lines():
            event = json.loads(line)
            self._doing[event["deviceId"]] = _words(event["state"], event["link"])
        return Counter(self._doing.values())

    def _new_lines(self) -> list[bytes]:
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return []
        self._offset += len(whole) + 1
        return whole.split(b"\n")


def _words(state: str, link: str) -> str:
    """One word where the link is what one expects of the state, else both."""
    if link == "barred":
        return "shut out"
    is_expected = link == ("online" if state in {"operational", "renewing", "committed"} else "offline")
    return state if is_expected or state == "rolled-back" else f"{state}, {link}"
