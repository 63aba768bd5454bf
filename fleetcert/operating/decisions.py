"""Who is to be shut out by the audit, where the table has forgotten: what was decided after the backup it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from shared.contracts import format_instant, parse_instant
from shared.domain import reasons
from shared.domain.audit import Entry
from shared.schemas.requests import LONGEST_REASON

type Verb = Literal["disable", "enable"]

_VERBS: Final[Mapping[str, Verb]] = {
    reasons.HISTORY_DISABLE_REQUESTED: "disable",
    reasons.HISTORY_ENABLE_REQUESTED: "enable",
}
_LONGEST_ACTOR: Final = 100


@dataclass(frozen=True, slots=True)
class Decision:
    """The last that was decided of a device, by whom and why."""

    device_id: str
    verb: Verb
    at: datetime
    actor: str
    reason: str

    @property
    def reason_again(self) -> str:
        """The reason for deciding it again. It keeps whose decision it was, at the cost of a long reason's end."""
        told = f" (again: {self.actor[:_LONGEST_ACTOR]}, {format_instant(self.at)})"
        return f"{self.reason[: LONGEST_REASON - len(told)]}{told}"

    def is_open(self, device: Mapping[str, Any]) -> bool:
        """Whether the device, as the API shows it, is not as was decided.

        A device that was shut out since, or in the same second, is left so: that may not have reached the audit yet.
        """
        containment = device["containment"]
        is_shut_out = containment is not None and containment["release"] is None
        if self.verb == "disable":
            return not is_shut_out
        return is_shut_out and parse_instant(containment["requestedAt"]) < self.at.replace(microsecond=0)


def last_decisions(entries: Iterable[Entry]) -> list[Decision]:
    """The last decision of each device that the entries name, the oldest first."""
    last: dict[str, Decision] = {}
    for entry in entries:
        verb, device_id = _VERBS.get(str(entry.get("kind"))), entry.get("deviceId")
        if verb is None or not device_id:
            continue
        at = parse_instant(str(entry["at"]))
        decision = Decision(str(device_id), verb, at, str(entry.get("actor", "")), str(entry.get("reason", "")))
        known = last.get(decision.device_id)
        if known is None or known.at <= at:
            last[decision.device_id] = decision
    return sorted(last.values(), key=lambda decision: decision.at)
