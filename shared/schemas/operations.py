"""Long work as callers see it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType

from shared.contracts import format_instant
from shared.domain.states import OperationKind, OperationState
from shared.schemas.access import Role
from shared.schemas.answers import ActorAnswer, actor_answer, opaque, transparent
from shared.schemas.requests import Malformed, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.operations import DeviceFailure, Operation

OPERATION_ID_GRAMMAR: Final = "[0-9]{15}-[0-9a-f]{8}"

ROLES: Final = {
    OperationKind.BULK_RENEW: Role.RENEW,
    OperationKind.BULK_DISABLE: Role.CONTAIN,
    OperationKind.EXPORT: Role.READ,
}
"""Who may start operations of a kind may cancel them."""


class CancelRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Ends a running operation after what it is at. What it has done stays done."""

    reason: Reason


class FailureAnswer(Struct, frozen=True, rename="camel"):
    """A device for which the work was not done, and why."""

    device_id: str
    reason: str


class CancellationAnswer(Struct, frozen=True, rename="camel"):
    """Who wanted the operation to end, and why."""

    actor: ActorAnswer
    reason: str
    requested_at: str


class OperationAnswer(Struct, frozen=True, rename="camel"):
    """Long work. total: pieces (devices, rows), null while it is not known; done, failed: how many have ended so.

    parameters: what was asked for. result: what came of it. failures: the first 100. problem: why it failed, or what a
    running one waits for.
    """

    id: str
    kind: OperationKind
    state: OperationState
    actor: ActorAnswer
    reason: str
    created_at: str
    updated_at: str
    finished_at: str | None
    parameters: dict[str, str]
    total: int | None
    done: int
    failed: int
    failures: list[FailureAnswer]
    result: dict[str, str]
    problem: str
    cancellation: CancellationAnswer | None


class OperationPageAnswer(Struct, frozen=True):
    """Operations, the newest first. cursor: asks for the next page; null on the last."""

    operations: list[OperationAnswer]
    cursor: str | None


def operation_id(text: str | None) -> str:
    """An operation's id as the API gives it. Raises: Malformed."""
    if text is None or not re.fullmatch(OPERATION_ID_GRAMMAR, text):
        raise Malformed("an operation's id is 15 digits, a hyphen, and 8 of 0-9 a-f")
    return text


def read_after(cursor: str | UnsetType) -> str:
    """The operation behind which a page begins; "" where it is the first. Raises: Malformed."""
    return operation_id(transparent(cursor)) if cursor is not UNSET else ""


def operation_answer(operation: Operation) -> OperationAnswer:
    """An operation as callers see it."""
    return OperationAnswer(
        id=operation.id,
        kind=operation.kind,
        state=operation.state,
        actor=actor_answer(operation.actor),
        reason=operation.reason,
        created_at=format_instant(operation.created_at),
        updated_at=format_instant(operation.updated_at),
        finished_at=format_instant(operation.finished_at) if operation.finished_at else None,
        parameters=dict(operation.parameters),
        total=operation.total,
        done=operation.done,
        failed=operation.failed,
        failures=[_failure(failure) for failure in operation.failures],
        result=dict(operation.result),
        problem=operation.problem,
        cancellation=_cancellation(operation),
    )


def operation_page_answer(operations: Sequence[Operation], limit: int) -> OperationPageAnswer:
    """A page of at most `limit`; one more in `operations` says that there is another page."""
    shown = operations[:limit]
    cursor = opaque(shown[-1].id) if len(operations) > limit else None
    return OperationPageAnswer([operation_answer(operation) for operation in shown], cursor)


def _failure(failure: DeviceFailure) -> FailureAnswer:
    return FailureAnswer(failure.device_id, failure.reason)


def _cancellation(operation: Operation) -> CancellationAnswer | None:
    wish = operation.cancellation
    if wish is None:
        return None
    return CancellationAnswer(actor_answer(wish.actor), wish.reason, format_instant(wish.requested_at))
