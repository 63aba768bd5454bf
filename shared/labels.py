"""The values that the attributes of metrics may have: few, and known before anything is measured.

An attribute that is not listed is bounded by the settings (names of event hubs, queues and hosts) or by the code (names
of functions, operations and exceptions). A device id, a certificate or a text from outside is never one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

OTHER: Final = "other"
"""Stands for a value that is none of the known ones."""


@cache
def known(attribute: str, metric: str = "") -> frozenset[str] | None:
    """The values of an attribute, or None where settings or code bound it. Read when they are first asked for.

    metric: the name of one that gives the attribute a meaning of its own.
    """
    read = _KNOWN.get(f"{metric}/{attribute}") or _KNOWN.get(attribute)
    return frozenset(read()) if read else None


def _kinds() -> set[str]:
    from shared.domain import reasons

    return {value for name, value in vars(reasons).items() if name.startswith("HISTORY_")}


def _reasons() -> set[str]:
    from shared.domain import reasons

    names = {name: value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    return {value for name, value in names.items() if not name.startswith(("HISTORY_", "AUDIT_"))}


def _alert_types() -> set[str]:
    from shared.contracts import AlertType
    from shared.domain.fleet_alerts import FleetAlertType

    return {value for kinds in (AlertType, FleetAlertType) for name, value in vars(kinds).items() if name.isupper()}


def _outcomes() -> set[str]:
    from shared.domain.answering import Delivery

    return {delivery.value for delivery in Delivery if delivery is not Delivery.SUCCESS}


def _states() -> set[str]:
    from shared.domain.record import State

    return {state.value for state in State if state is not State.RETIRED}  # who is retired is in no list


def _buckets() -> set[str]:
    from shared.domain.snapshot import BUCKETS, LATER, NONE

    return {*(name for _, name in BUCKETS), LATER, NONE}


def _operation_kinds() -> set[str]:
    from shared.domain.operations import OperationKind

    return {kind.value for kind in OperationKind}


def _operation_ends() -> set[str]:
    from shared.domain.operations import OperationState

    return {state.value for state in OperationState if state is not OperationState.RUNNING}


_KNOWN: Final[Mapping[str, Callable[[], set[str]]]] = {
    "kind": _kinds,
    "reason": _reasons,
    "alert.type": _alert_types,
    "condition": lambda: {"queue-full", "unreachable", "throttled"},
    "outcome": _outcomes,
    "state": _states,
    "within": _buckets,
    "source": lambda: {"hub", "dps"},
    "step": lambda: {"hub", "dps", "disconnected"},
    "fleetcert.operations.ended/kind": _operation_kinds,
    "fleetcert.operations.ended/state": _operation_ends,
    "faas.trigger": lambda: {"http", "pubsub", "timer"},
}
