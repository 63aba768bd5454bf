"""Long work as a value: what was asked for, by whom and why, how far it has come, and how it ended. Pure.

An operation is a row `op!{id}` in the partition `fleet`. Its id begins with the time that is left until the year 10000,
so that a list of rows has the newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shared.domain.keys import LATEST
from shared.domain.record import Actor
from shared.domain.states import OperationKind as OperationKind
from shared.domain.states import OperationState as OperationState
from shared.errors import NotPossible

MOST_FAILURES: Final = 100
"""Failures that are told one by one; all are counted."""
MOST_STRIKES: Final = 5
"""How often an operation may meet an error that nobody foresaw before it is given up."""


@dataclass(frozen=True, slots=True)
class DeviceFailure:
    """A device for which the work was not done, and why, in words for people."""

    device_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """Somebody wants the operation to end. What it has done by then stays done."""

    actor: Actor
    reason: str
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    parameters: what was asked for, and result: what came of it; texts, of a form that the kind knows. total: how many
    pieces there are (devices, rows), None while that is not known; done and failed: how many of them have ended so.
    cursor: where the kind's handler goes on, in its own words. failures: the first 100. problem: why it failed, or
    what a running one waits for. resume_at: when its next step is due. strikes: unforeseen errors in a row.
    """

    id: str
    kind: OperationKind
    actor: Actor
    reason: str
    created_at: datetime
    updated_at: datetime
    resume_at: datetime
    parameters: Mapping[str, str] = field(default_factory=dict)
    state: OperationState = OperationState.RUNNING
    total: int | None = None
    done: int = 0
    failed: int = 0
    cursor: str = ""
    failures: tuple[DeviceFailure, ...] = ()
    result: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    strikes: int = 0
    cancellation: Cancellation | None = None
    finished_at: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Whether anything is still to be done."""
        return self.state is OperationState.RUNNING

    def progressed(
        self, *, cursor: str, done: int = 0, failures: Iterable[DeviceFailure] = (), total: int | None = None
    ) -> Operation:
        """Further by so many pieces. total: set where it has become known."""
        new = tuple(failures)
        return replace(
            self,
            cursor=cursor,
            done=self.done + done,
            failed=self.failed + len(new),
            failures=(*self.failures, *new)[:MOST_FAILURES],
            total=self.total if total is None else total,
        )

    def finished(self, result: Mapping[str, str] | None = None) -> Operation:
        """All is done that could be; pieces that failed are counted, and make no failed operation."""
        return replace(self, state=OperationState.DONE, result={**self.result, **(result or {})})

    def gave_up(self, problem: str) -> Operation:
        """It cannot go on. problem: why, in words for people."""
        return replace(self, state=OperationState.FAILED, problem=problem)

    def cancel_requested(self, actor: Actor, reason: str, at: datetime) -> Operation:
        """Somebody wants it to end; the first who asked is remembered. Raises: NotPossible where it has ended."""
        if not self.is_running:
            raise NotPossible(f"operation {self.id} is {self.state}: there is nothing to cancel")
        if self.cancellation is not None:
            return self
        wish = Cancellation(actor=actor, reason=reason, requested_at=at)
        return replace(self, cancellation=wish, updated_at=at, resume_at=at)

    def cancelled(self) -> Operation:
        """It has ended as was wished."""
        return replace(self, state=OperationState.CANCELLED)

    def waiting(self, problem: str) -> Operation:
        """It goes on later. problem: what it waits for ("" for its turn)."""
        return replace(self, problem=problem)

    def struck(self, problem: str) -> Operation:
        """A step met an error that nobody foresaw; after the fifth in a row it is given up."""
        strikes = self.strikes + 1
        hit = replace(self, strikes=strikes, problem=problem)
        return hit if strikes < MOST_STRIKES else hit.gave_up(problem)

    def stamped(self, at: datetime, resume_at: datetime) -> Operation:
        """As it is stored at `at`."""
        finished_at = None if self.is_running else self.finished_at or at
        return replace(self, updated_at=at, resume_at=resume_at, finished_at=finished_at)


def operation_id(at: datetime, entropy: str) -> str:
    """An id that sorts before those of earlier operations. entropy: 8 characters that no other has in this instant."""
    return f"{LATEST * 1000 - int(at.timestamp() * 1000):015d}-{entropy}"
